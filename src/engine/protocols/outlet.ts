// Writes to a transport: bytes pushed in one turn of the event loop are sent together, and uploads wait for back-pressure.
import type { Transport } from "../transports/transport.ts";

/** Pieces that add up to at most this size are sent as one. */
const JOIN_BYTES = 64 * 1024;

/** The writing side of a connection. */
export class Outlet {
  readonly #transport: Pick<Transport, "write">;
  readonly #onFailure: (error: unknown) => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #running: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  /** `onFailure` is called once, when a write has failed; later pushes are dropped. */
  constructor(transport: Pick<Transport, "write">, onFailure: (error: unknown) => void) {
    this.#transport = transport;
    this.#onFailure = onFailure;
  }

  /** Bytes the transport has not accepted yet. */
  get unsent(): number {
    return this.#pendingBytes;
  }

  /** Whether a write has failed. */
  get failed(): boolean {
    return this.#failure !== null;
  }

  /** Queues bytes, which must not change afterwards. */
  push(bytes: Uint8Array): void {
    if (this.#failure !== null || bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#running ??= this.#run();
  }

  /** Resolves when the transport has accepted everything queued and more may be written; throws once writing has failed. */
  async ready(): Promise<void> {
    while (this.#running !== null) await this.#running;
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    // More to send together may follow in this turn.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0) {
        const pieces = this.#pending;
        this.#pending = [];
        this.#pendingBytes = 0;
        for (const piece of joined(pieces)) await this.#transport.write(piece);
      }
    } catch (error) {
      this.#failure = { error };
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#onFailure(error);
    } finally {
      this.#running = null;
    }
  }
}

/** Joins small pieces and passes big ones unchanged. */
function* joined(pieces: readonly Uint8Array[]): Generator<Uint8Array, void, undefined> {
  let group: Uint8Array[] = [];
  let size = 0;
  for (const piece of pieces) {
    if (size > 0 && size + piece.length > JOIN_BYTES) {
      yield group.length === 1 ? group[0]! : Buffer.concat(group);
      group = [];
      size = 0;
    }
    group.push(piece);
    size += piece.length;
  }
  if (size > 0) yield group.length === 1 ? group[0]! : Buffer.concat(group);
}
