// Computes store paths: the SHA-256 of a fingerprint, folded to 160 bits and printed before the name.
import { EngineError } from "../base/errors.ts";
import { type Hash, hashBytes, printHash } from "./hash.ts";
import { encodeNix32 } from "./nix32.ts";
import { parseStorePath, STORE_DIR, type StorePath } from "./store-path.ts";

/** Folds a digest to `size` bytes by xor (Nix: `compressHash`). */
export function foldDigest(digest: Uint8Array, size: number): Uint8Array {
  const folded = new Uint8Array(size);
  for (let index = 0; index < digest.length; index++) folded[index % size] = folded[index % size]! ^ digest[index]!;
  return folded;
}

/**
 * The store path of an object (Nix manual, store path specification): `type` is `source`, `text` or `output:<name>`, followed by the
 * references; `hash` identifies the contents. Throws `STORE_PATH_MALFORMED` for a name that is not valid in a path.
 */
export function makeStorePath(type: string, hash: Hash, name: string): StorePath {
  const fingerprint = `${type}:${printHash(hash, "hex", true)}:${STORE_DIR}:${name}`;
  const digest = foldDigest(hashBytes("sha256", fingerprint).digest, 20);
  return parseStorePath(`${STORE_DIR}/${encodeNix32(digest)}-${name}`);
}

/** The name in the path of a derivation's output: the derivation's name for `out`, else followed by the output's name. */
export function outputPathName(derivationName: string, outputName: string): string {
  return outputName === "out" ? derivationName : `${derivationName}-${outputName}`;
}

/** The path of an input-addressed output; `hash` is the derivation's hash modulo. */
export function makeOutputPath(outputName: string, hash: Hash, derivationName: string): StorePath {
  return makeStorePath(`output:${outputName}`, hash, outputPathName(derivationName, outputName));
}

/** What a store path refers to; a self-reference cannot be written as a path before that path is known. */
export interface StoreReferences {
  /** Other paths, in any order. */
  readonly others: Iterable<StorePath>;
  readonly self: boolean;
}

export const NO_REFERENCES: StoreReferences = { others: [], self: false };

/** A path type with its references, sorted, as it enters the fingerprint. */
export function typeWithReferences(type: string, references: StoreReferences): string {
  return [type, ...[...references.others].sort(), ...(references.self ? ["self"] : [])].join(":");
}

/** The path of a text (`.drv` files, `builtins.toFile`) whose contents have this hash. Throws `CONTENT_ADDRESS_IMPOSSIBLE` for other algorithms. */
export function makeTextPath(name: string, hash: Hash, references: Iterable<StorePath>): StorePath {
  if (hash.algorithm !== "sha256") {
    throw new EngineError(
      "format",
      "CONTENT_ADDRESS_IMPOSSIBLE",
      `'${name}': expected a sha256 hash of a text, found ${hash.algorithm}`,
    );
  }
  return makeStorePath(typeWithReferences("text", { others: references, self: false }), hash, name);
}
