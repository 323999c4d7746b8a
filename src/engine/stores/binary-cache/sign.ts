// Signs path information with secret keys.
import { readFileSync } from "node:fs";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { parseSecretKey, type SecretKey, signPath } from "../../formats/signature.ts";

/** Longest key file, in bytes. */
const MAX_KEY_FILE = 64 * 1024;

/** The info with signatures by all keys; the same object when none is missing. */
export function signed(info: PathInfo, keys: readonly SecretKey[]): PathInfo {
  const added = missingSignatures(info, keys);
  return added.length === 0 ? info : { ...info, signatures: [...info.signatures, ...added] };
}

/** Signatures by those keys that have not signed exactly this info yet. */
export function missingSignatures(info: PathInfo, keys: readonly SecretKey[]): string[] {
  return keys.map((key) => signPath(info, key)).filter((signature) => !info.signatures.includes(signature));
}

/**
 * Reads a secret key file. No message contains its contents.
 * @throws EngineError `SECRET_KEY_UNREADABLE`, `KEY_MALFORMED`
 */
export function readSecretKeyFile(path: string): SecretKey {
  let text: string;
  try {
    text = readFileSync(path, "utf8").slice(0, MAX_KEY_FILE);
  } catch (cause) {
    throw new EngineError(
      "config",
      "SECRET_KEY_UNREADABLE",
      `cannot read the secret key '${path}': ${messageOf(cause)}`,
      {
        hint: "make one with: tsbuild-top generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE",
        cause,
      },
    );
  }
  try {
    return parseSecretKey(text);
  } catch (cause) {
    throw new EngineError("config", "KEY_MALFORMED", `secret key '${path}': ${messageOf(cause)}`, {
      hint: cause instanceof EngineError && cause.hint !== null ? cause.hint : "make a new one",
      cause,
    });
  }
}
