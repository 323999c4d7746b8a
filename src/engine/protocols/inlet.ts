// Reads a transport ahead of its consumer, within bounds, so that its end is noticed even while nobody reads.

import { messageOf } from "../base/errors.ts";
import type { Transport } from "../transports/transport.ts";

/** How far to read ahead, in bytes. */
const READ_AHEAD = 256 * 1024;

/**
 * The bytes of a transport as an async iterable for one consumer, read ahead up to 256 KiB. The consumer may stop anywhere; only closing the
 * transport ends the reading. Iterating throws the errors of the transport's input.
 */
export class Inlet implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #onActivity: () => void;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #pulling = false;
  #end: { readonly error: unknown } | null = null;
  #waiter: (() => void) | null = null;

  /** `onActivity` is called whenever bytes or the end arrive, before the consumer receives them. */
  constructor(transport: Pick<Transport, "input">, onActivity: () => void) {
    this.#source = transport.input[Symbol.asyncIterator]();
    this.#onActivity = onActivity;
  }

  /** Starts reading ahead. */
  start(): void {
    this.#pull();
  }

  /** Bytes that have arrived but have not been consumed. */
  get queued(): number {
    return this.#queued;
  }

  /** Whether the transport has ended; some bytes may still be queued. */
  get ended(): boolean {
    return this.#end !== null;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.#queue.length === 0) {
      if (this.#end !== null) {
        if (this.#end.error !== null) throw this.#end.error;
        return { done: true, value: undefined };
      }
      this.#pull();
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
    }
    const value = this.#queue.length === 1 ? this.#queue[0]! : Buffer.concat(this.#queue);
    this.#queue = [];
    this.#queued = 0;
    this.#pull();
    return { done: false, value };
  }

  #pull(): void {
    if (this.#pulling || this.#end !== null || this.#queued >= READ_AHEAD) return;
    this.#pulling = true;
    this.#source.next().then(
      (result) => this.#arrived(result.done === true ? { error: null } : result.value),
      (error: unknown) => this.#arrived({ error: error ?? new Error(messageOf(error)) }),
    );
  }

  #arrived(what: Uint8Array | { readonly error: unknown }): void {
    this.#pulling = false;
    if (what instanceof Uint8Array) {
      if (what.length > 0) {
        this.#queue.push(what);
        this.#queued += what.length;
      }
    } else {
      this.#end = what;
    }
    this.#onActivity();
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.();
    this.#pull();
  }
}
