// Replaces the hash parts of store paths in a stream, and hashes contents as if their references to themselves were blank.
import { EngineError } from "../errors.ts";
import { createHasher, type Hash, type HashAlgorithm, type Hasher } from "./hash.ts";

const LENGTH = 32;

/** Replaces hash parts in chunks of any size, across their borders (Nix: `RewritingSink`). */
export class HashPartRewriter {
  readonly #rewrites: readonly { readonly from: Buffer; readonly to: Uint8Array }[];
  readonly #positions: number[] = [];
  /** The last bytes, which may be the beginning of a hash part. */
  #tail: Buffer = Buffer.alloc(0);
  #before = 0;
  /** How many bytes of the tail are replaced already. */
  #done = 0;

  /** Hash part → its replacement of 32 bytes. Throws `HASH_PART_MALFORMED`. */
  constructor(rewrites: ReadonlyMap<string, Uint8Array>) {
    this.#rewrites = [...rewrites].map(([from, to]) => {
      if (from.length !== LENGTH || to.length !== LENGTH) {
        throw new EngineError(
          "format",
          "HASH_PART_MALFORMED",
          `expected hash parts of ${LENGTH} digits, found '${from}' and ${to.length} bytes`,
        );
      }
      return { from: Buffer.from(from, "latin1"), to };
    });
  }

  /** Where hash parts were replaced, in bytes from the beginning of the stream, ascending. */
  get positions(): readonly number[] {
    return this.#positions;
  }

  /** Takes the next chunk and returns what is certain by now, as new memory or empty. */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = Buffer.concat([this.#tail, chunk]);
    // All are looked for before any is replaced, so that no replacement is replaced again.
    const found: { readonly at: number; readonly to: Uint8Array }[] = [];
    for (const { from, to } of this.#rewrites) {
      for (let at = bytes.indexOf(from, this.#done); at >= 0; at = bytes.indexOf(from, at + LENGTH))
        found.push({ at, to });
    }
    found.sort((one, other) => one.at - other.at);
    let done = this.#done;
    for (const { at, to } of found) {
      bytes.set(to, at);
      this.#positions.push(this.#before + at);
      done = at + LENGTH;
    }
    const certain = Math.max(0, bytes.length - LENGTH + 1);
    this.#tail = Buffer.from(bytes.subarray(certain));
    this.#before += certain;
    this.#done = Math.max(0, done - certain);
    return bytes.subarray(0, certain);
  }

  /** The rest. */
  finish(): Uint8Array {
    const rest = this.#tail;
    this.#tail = Buffer.alloc(0);
    this.#before += rest.length;
    return rest;
  }
}

/**
 * Hashes contents with every occurrence of one hash part replaced by zero bytes, and the places of these behind (Nix: `HashModuloSink`): the content
 * address of contents that refer to themselves.
 */
export class SelfReferenceHasher {
  readonly #algorithm: HashAlgorithm;
  readonly #hasher: Hasher;
  readonly #rewriter: HashPartRewriter;

  constructor(algorithm: HashAlgorithm, hashPart: string) {
    this.#algorithm = algorithm;
    this.#hasher = createHasher(algorithm);
    this.#rewriter = new HashPartRewriter(new Map([[hashPart, new Uint8Array(LENGTH)]]));
  }

  update(chunk: Uint8Array): void {
    this.#hasher.update(this.#rewriter.push(chunk));
  }

  /** The hash; call it once. */
  finish(): Hash {
    this.#hasher.update(this.#rewriter.finish());
    for (const position of this.#rewriter.positions) this.#hasher.update(`|${position}`);
    return { algorithm: this.#algorithm, digest: new Uint8Array(this.#hasher.digest()) };
  }
}
