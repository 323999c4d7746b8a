// Content addresses, their text, and the store path that follows from each.
import { EngineError } from "../base/errors.ts";
import { type Hash, type HashAlgorithm, hashBytes, parseHash, parseHashAlgorithm, printHash } from "./hash.ts";
import {
  makeStorePath,
  makeTextPath,
  NO_REFERENCES,
  type StoreReferences,
  typeWithReferences,
} from "./make-store-path.ts";
import { nameOf, type StorePath } from "./store-path.ts";

/** How contents are hashed into a content address: a flat file, a NAR (`r:`), a text (`text:`), or a git tree (`git:`). */
export type ContentAddressMethod = "flat" | "nar" | "text" | "git";

/** The content address of a store path. */
export interface ContentAddress {
  readonly method: ContentAddressMethod;
  readonly hash: Hash;
}

const PREFIXES: Readonly<Record<ContentAddressMethod, string>> = { flat: "", nar: "r:", text: "text:", git: "git:" };

/** Method and algorithm as derivations and the wire write them: `sha256`, `r:sha256`, `text:sha256`, `git:sha1`. */
export function printMethodAlgorithm(method: ContentAddressMethod, algorithm: HashAlgorithm): string {
  return PREFIXES[method] + algorithm;
}

/** Reads what {@link printMethodAlgorithm} prints; throws `HASH_UNKNOWN_ALGORITHM`. */
export function parseMethodAlgorithm(text: string): { method: ContentAddressMethod; algorithm: HashAlgorithm } {
  for (const method of ["nar", "git", "text"] as const) {
    const prefix = PREFIXES[method];
    if (text.startsWith(prefix)) return { method, algorithm: parseHashAlgorithm(text.slice(prefix.length)) };
  }
  return { method: "flat", algorithm: parseHashAlgorithm(text) };
}

/** Prints a content address: `text:sha256:<nix32>`, `fixed:sha256:…`, `fixed:r:sha256:…`, `fixed:git:sha1:…`. */
export function printContentAddress(address: ContentAddress): string {
  const prefix = address.method === "text" ? "text:" : `fixed:${PREFIXES[address.method]}`;
  return prefix + printHash(address.hash, "nix32", true);
}

/** Reads a content address; throws `CONTENT_ADDRESS_MALFORMED`, or the hash's own error. */
export function parseContentAddress(text: string): ContentAddress {
  const match = /^(text|fixed):(r:|git:)?([a-z0-9]+):([0-9a-zA-Z+/=]+)$/.exec(text);
  if (match === null || (match[1] === "text" && match[2] !== undefined)) {
    throw new EngineError(
      "format",
      "CONTENT_ADDRESS_MALFORMED",
      `expected 'text:<algorithm>:<hash>' or 'fixed:[r:|git:]<algorithm>:<hash>', found '${text.slice(0, 200)}'`,
    );
  }
  const hash = parseHash(match[4]!, parseHashAlgorithm(match[3]!));
  if (match[1] === "text") return { method: "text", hash };
  return { method: match[2] === "r:" ? "nar" : match[2] === "git:" ? "git" : "flat", hash };
}

/**
 * The store path of contents with this address (Nix manual, store path specification). Only texts and sha256 NARs may have references, and only
 * sha256 NARs may refer to themselves; otherwise throws `CONTENT_ADDRESS_IMPOSSIBLE`.
 */
export function contentAddressedPath(
  name: string,
  address: ContentAddress,
  references: StoreReferences = NO_REFERENCES,
): StorePath {
  const { method, hash } = address;
  if (method === "text") {
    if (references.self) throw impossible(name, "a text does not refer to itself");
    return makeTextPath(name, hash, references.others);
  }
  if (method === "nar" && hash.algorithm === "sha256") {
    return makeStorePath(typeWithReferences("source", references), hash, name);
  }
  if (method === "git" && hash.algorithm !== "sha1" && hash.algorithm !== "sha256") {
    throw impossible(name, `a git tree is hashed by sha1 or sha256, found ${hash.algorithm}`);
  }
  if (references.self || [...references.others].length > 0) {
    throw impossible(name, `contents addressed by ${printMethodAlgorithm(method, hash.algorithm)} have no references`);
  }
  const inner = `fixed:out:${PREFIXES[method]}${printHash(hash, "hex", true)}:`;
  return makeStorePath("output:out", hashBytes("sha256", inner), name);
}

/**
 * Whether a path's content address, name and references imply the path itself, so that it needs no signature to be trusted.
 * The caller must have checked the contents against the address. False for malformed or impossible addresses.
 */
export function isContentAddressed(
  path: StorePath,
  contentAddress: string | null,
  references: readonly StorePath[],
): boolean {
  if (contentAddress === null) return false;
  try {
    const self = references.includes(path);
    const others = self ? references.filter((reference) => reference !== path) : references;
    return contentAddressedPath(nameOf(path), parseContentAddress(contentAddress), { others, self }) === path;
  } catch (error) {
    if (error instanceof EngineError) return false;
    throw error;
  }
}

function impossible(name: string, why: string): EngineError {
  return new EngineError("format", "CONTENT_ADDRESS_IMPOSSIBLE", `'${name}' cannot be content-addressed: ${why}`);
}
