// Gives the SSH library's ciphers imported key objects: given bytes, Node checks and imports the key again for every packet.
import { createSecretKey } from "node:crypto";

/** Where the library keeps keys; the lock file fixes its version, and a test fails when they are no longer there. */
const CIPHER_FIELDS = { _cipher: ["_encKey", "_macKey"], _decipher: ["_decipherKey", "_macKey"] } as const;

/**
 * Call it after every handshake of a client or server connection, since each makes new ciphers. Halves the cost of a packet
 * with AES-GCM. Returns how many keys were imported; leaves a library with different internals unchanged.
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
