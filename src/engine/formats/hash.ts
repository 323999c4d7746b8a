// Hashes: an algorithm and a digest, in every notation Nix reads and prints.
import { createHash } from "node:crypto";
import { EngineError } from "../base/errors.ts";
import { decodeNix32, encodeNix32, nix32Length } from "./nix32.ts";

/** The hash algorithms of Nix. */
export type HashAlgorithm = "md5" | "sha1" | "sha256" | "sha512" | "blake3";

/** A digest with its algorithm; the digest has the algorithm's size. */
export interface Hash {
  readonly algorithm: HashAlgorithm;
  readonly digest: Uint8Array;
}

/** How a digest is written; `sri` is `sha256-<base64>`, the others are bare digits. */
export type HashNotation = "hex" | "nix32" | "base64" | "sri";

/** Digest sizes in bytes. */
export const HASH_SIZES: Readonly<Record<HashAlgorithm, number>> = {
  md5: 16,
  sha1: 20,
  sha256: 32,
  sha512: 64,
  blake3: 32,
};

export function isHashAlgorithm(text: string): text is HashAlgorithm {
  return Object.hasOwn(HASH_SIZES, text);
}

/** Reads an algorithm's name; throws `HASH_UNKNOWN_ALGORITHM`. */
export function parseHashAlgorithm(text: string): HashAlgorithm {
  if (isHashAlgorithm(text)) return text;
  throw new EngineError(
    "format",
    "HASH_UNKNOWN_ALGORITHM",
    `expected a hash algorithm (${Object.keys(HASH_SIZES).join(", ")}), found '${text.slice(0, 60)}'`,
  );
}

/**
 * Reads a hash in any of Nix's notations: `sha256:<hex|nix32|base64>`, `sha256-<base64>`, or bare digits when `algorithm` is given;
 * the length then decides the notation. Throws `HASH_MALFORMED` or `HASH_UNKNOWN_ALGORITHM`; an algorithm other than the given one is malformed.
 */
export function parseHash(text: string, algorithm: HashAlgorithm | null = null): Hash {
  const separator = /[:-]/.exec(text);
  if (separator === null) {
    if (algorithm === null) throw malformed(text, "a hash with its algorithm, 'sha256:…' or 'sha256-…'", "none");
    return { algorithm, digest: decodeDigits(text, text, algorithm) };
  }
  const named = parseHashAlgorithm(text.slice(0, separator.index));
  if (algorithm !== null && named !== algorithm) throw malformed(text, `a ${algorithm} hash`, named);
  const digits = text.slice(separator.index + 1);
  if (separator[0] === "-") return { algorithm: named, digest: decodeBase64(text, digits, HASH_SIZES[named]) };
  return { algorithm: named, digest: decodeDigits(text, digits, named) };
}

/** Prints a hash; `prefixed` puts `sha256:` before the digits (`sri` always carries its own). */
export function printHash(hash: Hash, notation: HashNotation, prefixed: boolean): string {
  const digits = printDigest(hash.digest, notation);
  if (notation === "sri") return `${hash.algorithm}-${digits}`;
  return prefixed ? `${hash.algorithm}:${digits}` : digits;
}

/** Hashes bytes at once. Throws `HASH_UNSUPPORTED` for algorithms this Node cannot compute (blake3). */
export function hashBytes(algorithm: HashAlgorithm, bytes: Uint8Array | string): Hash {
  return { algorithm, digest: new Uint8Array(createHasher(algorithm).update(bytes).digest()) };
}

/** A hash being computed. Texts are hashed as UTF-8. */
export interface Hasher {
  update(bytes: Uint8Array | string): Hasher;
  /** A second hasher in the same state. */
  copy(): Hasher;
  digest(): Uint8Array;
}

/** Starts hashing a stream. Throws `HASH_UNSUPPORTED` for algorithms this Node cannot compute (blake3). */
export function createHasher(algorithm: HashAlgorithm): Hasher {
  if (algorithm === "blake3") {
    throw new EngineError("format", "HASH_UNSUPPORTED", "blake3 hashes can be read and printed, but not computed", {
      hint: "Use sha256 for what is hashed here.",
    });
  }
  return createHash(algorithm);
}

function printDigest(digest: Uint8Array, notation: HashNotation): string {
  switch (notation) {
    case "hex":
      return Buffer.from(digest).toString("hex");
    case "nix32":
      return encodeNix32(digest);
    case "base64":
    case "sri":
      return Buffer.from(digest).toString("base64");
  }
}

function decodeDigits(whole: string, digits: string, algorithm: HashAlgorithm): Uint8Array {
  const size = HASH_SIZES[algorithm];
  if (digits.length === size * 2) {
    if (!/^[0-9a-fA-F]+$/.test(digits)) throw malformed(whole, "hexadecimal digits", `'${digits.slice(0, 130)}'`);
    return new Uint8Array(Buffer.from(digits, "hex"));
  }
  if (digits.length === nix32Length(size)) return decodeNix32(digits);
  return decodeBase64(whole, digits, size);
}

function decodeBase64(whole: string, digits: string, size: number): Uint8Array {
  const bytes = Buffer.from(digits, "base64");
  // Buffer skips characters that are not base64, so the text is valid only if it prints the same again.
  if (bytes.length !== size || bytes.toString("base64") !== digits) {
    throw malformed(whole, `${size} bytes in hex, nix32 or base64`, `'${digits.slice(0, 130)}'`);
  }
  return new Uint8Array(bytes);
}

function malformed(text: string, expected: string, found: string): EngineError {
  return new EngineError(
    "format",
    "HASH_MALFORMED",
    `in '${text.slice(0, 160)}': expected ${expected}, found ${found}`,
  );
}
