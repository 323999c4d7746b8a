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

/** The two hashes of contents that refer to themselves. */
export interface SelfReferenceHashes {
  /** With the places of the references hashed behind the contents: Nix up to 2.16 and from 2.35 on. */
  readonly withPositions: Hash;
  /** Without them: Nix 2.17 to 2.34, whose `RewritingSink` records no matches. */
  readonly withoutPositions: Hash;
}

/**
 * Hashes contents with every occurrence of one hash part replaced by zero bytes (Nix: `HashModuloSink`): the content address of contents that refer to
 * themselves. Releases of Nix differ and each refuses the other's, so who checks an address accepts either, and who makes one for a certain Nix asks
 * its version.
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

  /** The hashes; call it once. */
  finish(): SelfReferenceHashes {
    this.#hasher.update(this.#rewriter.finish());
    const plain = this.#hasher.copy();
    for (const position of this.#rewriter.positions) this.#hasher.update(`|${position}`);
    const hashOf = (hasher: Hasher): Hash => ({ algorithm: this.#algorithm, digest: new Uint8Array(hasher.digest()) });
    return { withPositions: hashOf(this.#hasher), withoutPositions: hashOf(plain) };
  }
}
