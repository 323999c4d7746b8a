// A queue of byte chunks between one writer and one reader, bounded by waiting for room or by dropping the oldest.

type QueueState =
  | { readonly type: "open" }
  | { readonly type: "ended" }
  | { readonly type: "failed"; readonly error: Error };

/** Chunks in, the same chunks out, in order. Iterated once. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #keepAtMost: number;
  #chunks: Uint8Array[] = [];
  /** Index of the oldest unread chunk: shifting a long array one by one would be quadratic. */
  #head = 0;
  #bytes = 0;
  #state: QueueState = { type: "open" };
  #wakeReader: (() => void) | null = null;
  #waitingForRoom: { readonly limit: number; readonly resolve: () => void }[] = [];

  /** `keepAtMost`: bytes after which the oldest chunks are dropped, for text that may never be read. */
  constructor(keepAtMost = Number.POSITIVE_INFINITY) {
    this.#keepAtMost = keepAtMost;
  }

  /** Bytes pushed or announced and not yet read. */
  get size(): number {
    return this.#bytes;
  }

  get isOpen(): boolean {
    return this.#state.type === "open";
  }

  /** Counts bytes in transit: they take room before they are pushed. */
  announce(bytes: number): void {
    if (this.#state.type === "open") this.#bytes += bytes;
  }

  /** Adds a chunk, `announced` or not; ignored once the queue has ended. */
  push(chunk: Uint8Array, announced = false): void {
    if (this.#state.type !== "open" || chunk.length === 0) return;
    this.#chunks.push(chunk);
    if (!announced) this.#bytes += chunk.length;
    while (this.#bytes > this.#keepAtMost && this.#chunks.length - this.#head > 1) this.#take();
    this.#wake();
  }

  /** Chunks already pushed can still be read, then the iteration ends. */
  end(): void {
    if (this.#state.type === "open") this.#state = { type: "ended" };
    this.#releaseAll();
    this.#wake();
  }

  /** Chunks already pushed can still be read, then the iteration throws. */
  fail(error: Error): void {
    if (this.#state.type === "open") this.#state = { type: "failed", error };
    this.#releaseAll();
    this.#wake();
  }

  /** Drops unread chunks and ends. */
  discard(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#state = { type: "ended" };
    this.#releaseAll();
    this.#wake();
  }

  /** Resolves when fewer than `limit` bytes wait to be read, or the queue is no longer open. */
  room(limit: number): Promise<void> {
    if (this.#bytes < limit || this.#state.type !== "open") return Promise.resolve();
    return new Promise((resolve) => this.#waitingForRoom.push({ limit, resolve }));
  }

  /** Releases all writers that wait for room, even if there is none. */
  releaseWriters(): void {
    this.#releaseAll();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const chunk = this.#take();
      if (chunk !== null) {
        this.#releaseThoseWithRoom();
        yield chunk;
        continue;
      }
      const state = this.#state;
      if (state.type === "failed") throw state.error;
      if (state.type === "ended") return;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #take(): Uint8Array | null {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return null;
    this.#head++;
    this.#bytes -= chunk.length;
    if (this.#head >= 1024 || this.#head === this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
    return chunk;
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = null;
    wake?.();
  }

  #releaseThoseWithRoom(): void {
    if (this.#waitingForRoom.length === 0) return;
    const waiting = this.#waitingForRoom;
    this.#waitingForRoom = [];
    for (const one of waiting) {
      if (this.#bytes < one.limit) one.resolve();
      else this.#waitingForRoom.push(one);
    }
  }

  #releaseAll(): void {
    for (const one of this.#waitingForRoom.splice(0)) one.resolve();
  }
}
