// Signatures of store paths: Ed25519 over a path's fingerprint, with keys and signatures as `name:base64`.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { EngineError } from "../base/errors.ts";
import { printHash } from "./hash.ts";
import type { PathInfo } from "./path-info.ts";

/** A signing key. Its text is `name:base64(seed, public key)`, 64 bytes, in libsodium's layout. */
export interface SecretKey {
  readonly name: string;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly handle: KeyObject;
}

/** A verification key; its text is `name:base64`, 32 bytes. */
export interface PublicKey {
  readonly name: string;
  /** 32 bytes. */
  readonly bytes: Uint8Array;
  readonly handle: KeyObject;
}

/** The parts of a path's information that are signed. */
export type SignedInfo = Pick<PathInfo, "path" | "narHash" | "narSize" | "references">;

// DER of an Ed25519 key up to its 32 raw bytes (RFC 8410); Node does not import bare raw keys.
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** What is signed: `1;<path>;sha256:<nix32>;<size>;<references, sorted, comma-joined>` (Nix: `ValidPathInfo::fingerprint`). */
export function fingerprintOf(info: SignedInfo): string {
  const hash = printHash({ algorithm: "sha256", digest: info.narHash }, "nix32", true);
  return `1;${info.path};${hash};${info.narSize};${[...info.references].sort().join(",")}`;
}

/** Reads a secret key; throws `KEY_MALFORMED`. The message never holds key material. */
export function parseSecretKey(text: string): SecretKey {
  const { name, bytes } = parseNamed(text, 64, "a secret key");
  const key = secretKeyFromSeed(name, bytes.subarray(0, 32));
  if (Buffer.compare(key.publicKey, bytes.subarray(32)) !== 0) {
    throw new EngineError(
      "format",
      "KEY_MALFORMED",
      `secret key '${name}': its public half does not belong to its seed`,
    );
  }
  return key;
}

/** Makes the secret key of a seed of 32 bytes. */
export function secretKeyFromSeed(name: string, seed: Uint8Array): SecretKey {
  const handle = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const publicKey = rawPublicKey(createPublicKey(handle));
  return { name, seed: Uint8Array.from(seed), publicKey, handle };
}

/** Makes a new key pair from the system's random numbers. */
export function generateSecretKey(name: string): SecretKey {
  if (!isKeyName(name)) throw malformed("a key name without colon or blanks", `'${name.slice(0, 80)}'`);
  const der = generateKeyPairSync("ed25519").privateKey.export({ format: "der", type: "pkcs8" });
  return secretKeyFromSeed(name, der.subarray(PKCS8_PREFIX.length));
}

/** The text of a secret key, as key files hold it. */
export function printSecretKey(key: SecretKey): string {
  return `${key.name}:${Buffer.concat([key.seed, key.publicKey]).toString("base64")}`;
}

/** The public key of a secret key. */
export function publicKeyOf(key: SecretKey): PublicKey {
  return makePublicKey(key.name, key.publicKey);
}

/** Reads a public key; throws `KEY_MALFORMED`. */
export function parsePublicKey(text: string): PublicKey {
  const { name, bytes } = parseNamed(text, 32, "a public key");
  return makePublicKey(name, bytes);
}

/** The text of a public key, as `trusted-public-keys` holds it. */
export function printPublicKey(key: PublicKey): string {
  return `${key.name}:${Buffer.from(key.bytes).toString("base64")}`;
}

/** Signs a path's information: `name:base64`. */
export function signPath(info: SignedInfo, key: SecretKey): string {
  return `${key.name}:${signText(fingerprintOf(info), key)}`;
}

/** The base64 signature of a text, without the key's name. */
export function signText(text: string, key: SecretKey): string {
  return sign(null, Buffer.from(text, "utf8"), key.handle).toString("base64");
}

/** Names of the keys with a valid signature of the information. Signatures that cannot be read count as absent. */
export function validSignatures(
  info: SignedInfo & { readonly signatures: readonly string[] },
  keys: ReadonlyMap<string, PublicKey>,
): Set<string> {
  const signers = new Set<string>();
  let text: Buffer | null = null;
  for (const signature of info.signatures) {
    const separator = signature.indexOf(":");
    const key = keys.get(signature.slice(0, Math.max(0, separator)));
    if (key === undefined) continue;
    const bytes = Buffer.from(signature.slice(separator + 1), "base64");
    if (bytes.length !== 64) continue;
    text ??= Buffer.from(fingerprintOf(info), "utf8");
    if (verify(null, text, key.handle, bytes)) signers.add(key.name);
  }
  return signers;
}

/** Reads public keys into the map {@link validSignatures} takes; a later key with the same name replaces an earlier one. */
export function publicKeyMap(texts: Iterable<string>): Map<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const text of texts) {
    const key = parsePublicKey(text);
    keys.set(key.name, key);
  }
  return keys;
}

function makePublicKey(name: string, bytes: Uint8Array): PublicKey {
  const handle = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: "der", type: "spki" });
  return { name, bytes: Uint8Array.from(bytes), handle };
}

function rawPublicKey(handle: KeyObject): Uint8Array {
  return Uint8Array.from(handle.export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length));
}

function parseNamed(text: string, size: number, what: string): { name: string; bytes: Buffer } {
  const trimmed = text.trim();
  const separator = trimmed.indexOf(":");
  const name = trimmed.slice(0, Math.max(0, separator));
  if (!isKeyName(name)) throw malformed(`${what} 'name:base64'`, "no name before a colon");
  const digits = trimmed.slice(separator + 1);
  const bytes = Buffer.from(digits, "base64");
  if (bytes.toString("base64") !== digits)
    throw malformed(`${what} 'name:base64'`, `'${name}:' and no base64 behind it`);
  if (bytes.length !== size) throw malformed(`${what} of ${size} bytes`, `${bytes.length} bytes behind '${name}:'`);
  return { name, bytes };
}

function isKeyName(name: string): boolean {
  return /^[^\s:]+$/.test(name);
}

function malformed(expected: string, found: string): EngineError {
  return new EngineError("format", "KEY_MALFORMED", `expected ${expected}, found ${found}`, {
    hint: "Keys are made by `nix-store --generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE`.",
  });
}
