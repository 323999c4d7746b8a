// Reads `trusted-public-keys`: names and Ed25519 keys whose signatures make a path from elsewhere acceptable.
import { EngineError } from "../errors.ts";

/** Length of an Ed25519 public key in bytes. */
const KEY_LENGTH = 32;

/** A key that signatures are checked against. */
export interface TrustedPublicKey {
  /** What stands before the `:` in a signature made with it. */
  readonly name: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/**
 * Parses one `name:base64`.
 * @throws EngineError `CONFIG_BAD_PUBLIC_KEY`
 */
export function parsePublicKey(text: string): TrustedPublicKey {
  const colon = text.indexOf(":");
  const name = text.slice(0, Math.max(colon, 0));
  const encoded = text.slice(colon + 1);
  const key = Buffer.from(encoded, "base64");
  if (name === "" || key.length !== KEY_LENGTH || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new EngineError(
      "config",
      "CONFIG_BAD_PUBLIC_KEY",
      `trusted-public-keys: expected 'NAME:BASE64' with ${KEY_LENGTH} bytes of key, found '${text.slice(0, 200)}'`,
      { hint: "copy the whole content of the public key file written by generate-binary-cache-key" },
    );
  }
  return { name, key: new Uint8Array(key) };
}

/**
 * The trusted keys by name. Of two keys with the same name the first counts, as in Nix.
 * @throws EngineError `CONFIG_BAD_PUBLIC_KEY`
 */
export function parsePublicKeys(words: readonly string[]): Map<string, TrustedPublicKey> {
  const keys = new Map<string, TrustedPublicKey>();
  for (const word of words) {
    const key = parsePublicKey(word);
    if (!keys.has(key.name)) keys.set(key.name, key);
  }
  return keys;
}
