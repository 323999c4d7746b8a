// `generate-binary-cache-key`: makes a key pair to sign paths with (Nix: `nix-store --generate-binary-cache-key`).
import { unlink, writeFile } from "node:fs/promises";
import { EngineError, messageOf } from "../base/errors.ts";
import { generateSecretKey, printPublicKey, printSecretKey, publicKeyOf } from "../formats/signature.ts";

export interface GenerateKeyRequest {
  /** What stands before the colon: by convention the cache's name and a number, `cache.example.org-1`. */
  readonly name: string;
  readonly secretKeyFile: string;
  readonly publicKeyFile: string;
}

/**
 * Writes both files, the secret one for its owner's eyes only; like Nix's, they end without a newline.
 * @throws EngineError `KEY_MALFORMED` for a bad name, `KEY_FILE_EXISTS` (a secret key is never replaced), `KEY_FILE_UNWRITABLE`
 */
export async function generateKey({ name, secretKeyFile, publicKeyFile }: GenerateKeyRequest): Promise<void> {
  const key = generateSecretKey(name);
  await write(secretKeyFile, printSecretKey(key), 0o600, "wx");
  try {
    await write(publicKeyFile, printPublicKey(publicKeyOf(key)), 0o644, "w");
  } catch (error) {
    // Half a pair is worth nothing.
    await unlink(secretKeyFile).catch(() => undefined);
    throw error;
  }
}

async function write(file: string, text: string, mode: number, flag: "w" | "wx"): Promise<void> {
  try {
    await writeFile(file, text, { mode, flag });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      throw new EngineError("usage", "KEY_FILE_EXISTS", `expected no file at '${file}', found one`, {
        hint: "what the key in it has signed could never be signed again: move it away first if you mean it",
        cause,
      });
    }
    throw new EngineError("config", "KEY_FILE_UNWRITABLE", `cannot write '${file}': ${messageOf(cause)}`, { cause });
  }
}
