// Makes SSH keys in OpenSSH's format (its PROTOCOL.key) with Node's own generator.
// ssh2 has one too, but cannot read three in a thousand of its own keys.
import { generateKeyPairSync, randomBytes } from "node:crypto";

/** A key pair in OpenSSH's formats. */
export interface SshKeyPair {
  /** Contents of a private key file. */
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA…`, without a comment. */
  readonly publicKey: string;
}

const TYPE = "ssh-ed25519";
const MAGIC = Buffer.from("openssh-key-v1\0");

/** An unencrypted private part is padded to a multiple of this. */
const BLOCK = 8;

/** Base64 characters per line, as in ssh-keygen. */
const LINE = 70;

/** Makes an unencrypted ed25519 key pair. */
export function makeSshKeyPair(): SshKeyPair {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { x, d } = privateKey.export({ format: "jwk" });
  if (x === undefined || d === undefined) throw new Error("an ed25519 key without its numbers");
  const publicPart = Buffer.from(x, "base64url");
  const seed = Buffer.from(d, "base64url");
  const publicBlob = Buffer.concat([field(TYPE), field(publicPart)]);
  // The same number twice: after decryption it shows whether the passphrase was right.
  const check = randomBytes(4);
  const secret = Buffer.concat([
    ...[check, check, field(TYPE), field(publicPart)],
    ...[field(Buffer.concat([seed, publicPart])), field("")],
  ]);
  const padding = Buffer.from(Array.from({ length: (BLOCK - (secret.length % BLOCK)) % BLOCK }, (_, at) => at + 1));
  const whole = Buffer.concat([
    ...[MAGIC, field("none"), field("none"), field(""), number(1), field(publicBlob)],
    field(Buffer.concat([secret, padding])),
  ]).toString("base64");
  const lines = whole.match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
  return {
    privateKey: ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n"),
    publicKey: `${TYPE} ${publicBlob.toString("base64")}`,
  };
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}
