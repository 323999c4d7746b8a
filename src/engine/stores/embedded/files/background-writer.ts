// Writes a file's contents in the background: one buffer is filled while the system writes the other.
import { write } from "node:fs";

/** Bytes per write. */
const PIECE = 1024 * 1024;

/** Writes to one open descriptor, from its current position on. */
export class BackgroundWriter {
  readonly #descriptor: number;
  #filling: Buffer;
  #filled = 0;
  #spare: Buffer | null = null;
  #writing: Promise<void> = Promise.resolve();

  /** @param size expected number of bytes; a hint */
  constructor(descriptor: number, size: number) {
    this.#descriptor = descriptor;
    this.#filling = Buffer.allocUnsafeSlow(Math.min(PIECE, Math.max(1, size)));
  }

  /** Accepts bytes, which may be overwritten as soon as it resolves. Rejects with the system's error, also that of an earlier write. */
  async take(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, this.#filling.length - this.#filled);
      this.#filling.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#filling.length) await this.#flush();
    }
  }

  /** Waits until the system has accepted everything. Rejects like {@link BackgroundWriter.take}. */
  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#flush();
    await this.#writing;
  }

  /** Waits until the descriptor is no longer in use, even after a failure: only then may it be closed. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  async #flush(): Promise<void> {
    await this.#writing;
    const full = this.#filling;
    this.#writing = writeAll(this.#descriptor, full.subarray(0, this.#filled));
    // Awaited later; until then its failure must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.#filling = this.#spare ?? Buffer.allocUnsafeSlow(full.length);
    this.#spare = full;
    this.#filled = 0;
  }
}

async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    done += await new Promise<number>((resolve, reject) => {
      write(descriptor, bytes, done, bytes.length - done, null, (error, count) => {
        if (error !== null) reject(error);
        else resolve(count);
      });
    });
  }
}
