// Gives the SSH library's ciphers keys that are ready to use: given bytes, Node checks and imports them anew for every packet.
import { createSecretKey } from "node:crypto";

/** Where the library keeps keys; its version is fixed by the lock file, and a test fails when they are no longer there. */
const CIPHER_FIELDS = { _cipher: ["_encKey", "_macKey"], _decipher: ["_decipherKey", "_macKey"] } as const;

/**
 * To be called after every handshake of a client or a server's connection, for there are new ciphers then. Halves what a packet costs
 * with AES-GCM. Gives back how many keys were made ready; a library that looks different inside is left as it is.
 */
export function readyCipherKeys(connection: object): number {
  const protocol = field(connection, "_protocol");
  let count = 0;
  for (const [side, names] of Object.entries(CIPHER_FIELDS)) {
    const cipher = field(protocol, side);
    for (const name of names) {
      const key = field(cipher, name);
      if (!(key instanceof Uint8Array)) continue;
      Reflect.set(cipher as object, name, createSecretKey(key));
      count += 1;
    }
  }
  return count;
}

function field(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? (Reflect.get(of, name) as unknown) : undefined;
}
