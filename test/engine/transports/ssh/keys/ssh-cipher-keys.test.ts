// The library's ciphers really take prepared keys, in both directions and for every kind of cipher that is offered.
import { generateKeyPairSync, KeyObject } from "node:crypto";
import type { AddressInfo } from "node:net";
import ssh2, { type CipherAlgorithm, type ServerChannel } from "ssh2";
import { describe, expect, it } from "vitest";
import { readyCipherKeys } from "../../../../../src/engine/transports/ssh/keys/ssh-cipher-keys.ts";

const hostKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs1", format: "pem" });

/** Says `text` to a server that repeats what it hears, and gives back what came and how many keys were made ready on each side. */
async function echo(cipher: CipherAlgorithm, text: Buffer): Promise<{ heard: Buffer; keys: number[] }> {
  const keys: number[] = [];
  const server = new ssh2.Server({ hostKeys: [hostKey as string] }, (connection) => {
    connection.on("handshake", () => keys.push(readyCipherKeys(connection)));
    connection.on("authentication", (attempt) => attempt.accept());
    connection.on("session", (accept) => {
      accept().on("exec", (acceptExec) => {
        const channel: ServerChannel = acceptExec();
        channel.pipe(channel);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new ssh2.Client();
  try {
    return await new Promise((resolve, reject) => {
      client.on("handshake", () => keys.push(readyCipherKeys(client)));
      client.on("error", reject);
      client.on("ready", () => {
        client.exec("echo", (error, channel) => {
          if (error !== undefined) return reject(error);
          const heard: Buffer[] = [];
          channel.on("data", (chunk: Buffer) => heard.push(chunk));
          channel.on("end", () => resolve({ heard: Buffer.concat(heard), keys }));
          channel.end(text);
        });
      });
      const { port } = server.address() as AddressInfo;
      client.connect({ host: "127.0.0.1", port, username: "nobody", password: "", algorithms: { cipher: [cipher] } });
    });
  } finally {
    client.destroy();
    server.close();
  }
}

describe("readyCipherKeys", () => {
  const text = Buffer.alloc(200_000, "what is said is heard ");

  it.each([
    // One key for each direction.
    ["aes128-gcm@openssh.com", 2],
    ["aes256-gcm@openssh.com", 2],
    // The cipher has its key already; its check sum is made anew for each packet.
    ["aes128-ctr", 2],
    // Two keys in one piece, which the library cuts up itself.
    ["chacha20-poly1305@openssh.com", 0],
  ] as const)("makes the keys of %s ready and changes nothing else", async (cipher, count) => {
    const { heard, keys } = await echo(cipher, text);
    expect(keys).toEqual([count, count]);
    expect(heard.equals(text)).toBe(true);
  });

  it("replaces a key once", () => {
    const connection = { _protocol: { _cipher: { _encKey: Buffer.alloc(16, 1) }, _decipher: {} } };
    expect(readyCipherKeys(connection)).toBe(1);
    expect(connection._protocol._cipher._encKey).toBeInstanceOf(KeyObject);
    expect(readyCipherKeys(connection)).toBe(0);
  });

  it("leaves alone what looks different inside", () => {
    expect(readyCipherKeys({})).toBe(0);
    expect(readyCipherKeys({ _protocol: { _cipher: null } })).toBe(0);
  });
});
