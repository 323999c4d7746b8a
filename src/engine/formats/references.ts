// Finds the hash parts of store paths in a stream of bytes: the references of an output.
import { NIX32_VALUES } from "./nix32.ts";
import { hashPartOf, type StorePath } from "./store-path.ts";

const LENGTH = 32;
const NOTHING = new Uint8Array(0);

/**
 * Looks for the hash parts of candidate paths in chunks of any size, also across chunk borders (Nix: `RefScanSink`). Like Nix's scan it looks at
 * the end of a window of 32 bytes first and skips past any byte that is not a nix32 digit.
 */
export class ReferenceScanner {
  readonly #left = new Map<string, StorePath>();
  readonly #found = new Set<StorePath>();
  /** One bit for each value of a candidate's first four digits. */
  readonly #filter = new Uint8Array(2 ** 17);
  #tail: Uint8Array = NOTHING;

  constructor(candidates: Iterable<StorePath>) {
    for (const candidate of candidates) {
      const hashPart = hashPartOf(candidate);
      this.#left.set(hashPart, candidate);
      const key = filterKey(Buffer.from(hashPart, "latin1"), 0);
      this.#filter[key >> 3] = this.#filter[key >> 3]! | (1 << (key & 7));
    }
  }

  /** Scans the next chunk, which is not kept. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#left.size === 0) return;
    if (this.#tail.length > 0) this.#scan(Buffer.concat([this.#tail, chunk.subarray(0, LENGTH - 1)]));
    this.#scan(chunk);
    this.#tail =
      chunk.length >= LENGTH - 1
        ? Uint8Array.from(chunk.subarray(chunk.length - LENGTH + 1))
        : Uint8Array.from(Buffer.concat([this.#tail, chunk]).subarray(-(LENGTH - 1)));
  }

  /** The candidates seen so far, sorted. */
  references(): StorePath[] {
    return [...this.#found].sort();
  }

  #scan(bytes: Uint8Array): void {
    const values = NIX32_VALUES;
    const end = bytes.length - LENGTH;
    let at = 0;
    // How many bytes from `at` on are already known to be digits; avoids checking long runs of digits twice.
    let known = 0;
    while (at <= end) {
      let index = at + LENGTH - 1;
      const stop = at + known;
      while (index >= stop && values[bytes[index]!]! < LENGTH) index--;
      if (index >= stop) {
        known = at + LENGTH - 1 - index;
        at = index + 1;
        continue;
      }
      at = this.#run(bytes, at, end);
      known = 0;
    }
  }

  /** Scans a run of digits whose first window is at `at`; returns where the next window may be. */
  #run(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    let key = filterKey(bytes, at);
    for (;;) {
      if ((this.#filter[key >> 3]! & (1 << (key & 7))) !== 0) this.#match(bytes, at);
      at++;
      if (at > end) return at;
      if (NIX32_VALUES[bytes[at + LENGTH - 1]!]! >= LENGTH) return at + LENGTH;
      key = ((key << 5) & 0xfffff) | NIX32_VALUES[bytes[at + 3]!]!;
    }
  }

  #match(bytes: Uint8Array, at: number): void {
    const hashPart = Buffer.from(bytes.buffer, bytes.byteOffset + at, LENGTH).toString("latin1");
    const path = this.#left.get(hashPart);
    if (path === undefined) return;
    this.#found.add(path);
    this.#left.delete(hashPart);
  }
}

/** The values of four digits as 20 bits. */
function filterKey(bytes: Uint8Array, at: number): number {
  return (
    (NIX32_VALUES[bytes[at]!]! << 15) |
    (NIX32_VALUES[bytes[at + 1]!]! << 10) |
    (NIX32_VALUES[bytes[at + 2]!]! << 5) |
    NIX32_VALUES[bytes[at + 3]!]!
  );
}
