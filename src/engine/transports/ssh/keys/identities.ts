// Which keys to try for a login, in which order: files named by the user, the agent's keys, then the default files.
import { readFile, stat } from "node:fs/promises";
import { EngineError } from "../../../base/errors.ts";
import type { IdentityFile } from "../config/ssh-config.ts";
import type { SshNotice } from "../config/ssh-settings.ts";
import { cannotConnect } from "../ssh-errors.ts";
import { keyTypeOf } from "./known-hosts.ts";

/** A way to log in. */
export type Identity =
  | { readonly type: "file"; readonly path: string; readonly privateKey: Buffer }
  /** Keys of the agent at `socket`: only those in `only`, or all except those in `except`. Keys are public key blobs. */
  | {
      readonly type: "agent";
      readonly socket: string;
      readonly only: readonly Buffer[] | null;
      readonly except: readonly Buffer[];
    };

/** The contents of a private key file. */
export type PrivateKeyKind =
  | { readonly type: "plain" }
  /** Needs a passphrase; the public half is known only for keys in OpenSSH's own format. */
  | { readonly type: "encrypted"; readonly publicKey: Buffer | null }
  | { readonly type: "unsupported"; readonly what: string }
  | { readonly type: "notAKey" };

/** The facts for the choice. */
export interface IdentityQuestion {
  /** The machine as the user named it. */
  readonly name: string;
  readonly files: readonly IdentityFile[];
  readonly identitiesOnly: boolean;
  readonly agentSocket: string | null;
  readonly notice: (notice: SshNotice) => void;
}

/** The ways to try, and why others cannot be tried: the reason to report when all of them are rejected. */
export interface IdentityChoice {
  readonly identities: readonly Identity[];
  readonly problems: readonly EngineError[];
}

const MAX_KEY_FILE = 64 * 1024;

/** Reads the key files and orders the ways to log in. Never throws for an unusable key: that is a problem in the answer. */
export async function chooseIdentities(question: IdentityQuestion): Promise<IdentityChoice> {
  const explicit: Identity[] = [];
  const defaults: Identity[] = [];
  const problems: EngineError[] = [];
  const named: Buffer[] = [];
  const triedFirst: Buffer[] = [];
  for (const file of question.files) {
    const publicKey = await readPublicKey(`${file.path}.pub`);
    const into = file.explicit ? explicit : defaults;
    const read = await readKeyFile(file.path);
    if (read.type === "missing") {
      if (publicKey !== null && question.agentSocket !== null) {
        named.push(publicKey);
        if (file.explicit) askAgentFirst(publicKey);
      } else if (file.explicit) {
        problems.push(
          problem(
            question.name,
            "SSH_KEY_MISSING",
            `key file ${file.path}: ${read.reason}`,
            "check ssh-key in the machine list, or IdentityFile",
          ),
        );
      }
      continue;
    }
    const kind = inspectPrivateKey(read.content);
    switch (kind.type) {
      case "plain":
        if (publicKey !== null) named.push(publicKey);
        warnOfPermissions(question, file.path, read.mode);
        into.push({ type: "file", path: file.path, privateKey: read.content });
        break;
      case "encrypted": {
        const half = kind.publicKey ?? publicKey;
        if (half !== null) named.push(half);
        if (half !== null && question.agentSocket !== null && file.explicit) askAgentFirst(half);
        problems.push(
          problem(
            question.name,
            "SSH_KEY_PASSPHRASE",
            `key file ${file.path} needs a passphrase`,
            `builds are not interactive: load it into an agent first (ssh-add ${file.path}), or use a key without a passphrase`,
          ),
        );
        break;
      }
      case "unsupported":
        problems.push(
          problem(
            question.name,
            "SSH_KEY_UNREADABLE",
            `key file ${file.path}: ${kind.what}`,
            `convert it: ssh-keygen -p -f ${file.path}`,
          ),
        );
        break;
      case "notAKey":
        problems.push(
          problem(
            question.name,
            "SSH_KEY_UNREADABLE",
            `key file ${file.path}: expected a private key, found something else`,
            "name the private key, not the .pub file",
          ),
        );
        break;
    }
  }
  const agent: Identity[] =
    question.agentSocket === null
      ? []
      : [
          {
            type: "agent",
            socket: question.agentSocket,
            only: question.identitiesOnly ? named : null,
            except: triedFirst,
          },
        ];
  return { identities: [...explicit, ...agent, ...defaults], problems };

  function askAgentFirst(key: Buffer): void {
    if (question.agentSocket === null) return;
    explicit.push({ type: "agent", socket: question.agentSocket, only: [key], except: [] });
    triedFirst.push(key);
  }
}

/**
 * Recognises the contents of a private key file: OpenSSH's own format (PROTOCOL.key), the older PEM forms, PKCS#8 (which the SSH library does
 * not read) or none of them.
 */
export function inspectPrivateKey(content: Buffer): PrivateKeyKind {
  const text = content.toString("latin1");
  if (text.includes("-----BEGIN OPENSSH PRIVATE KEY-----")) return inspectOpenSshKey(text);
  if (text.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----")) return { type: "encrypted", publicKey: null };
  if (text.includes("-----BEGIN PRIVATE KEY-----"))
    return { type: "unsupported", what: "PKCS#8 keys are not supported" };
  if (/-----BEGIN (?:RSA|DSA|EC) PRIVATE KEY-----/.test(text)) {
    return /Proc-Type: 4,ENCRYPTED/.test(text) ? { type: "encrypted", publicKey: null } : { type: "plain" };
  }
  if (text.startsWith("PuTTY-User-Key-File-"))
    return /^Encryption: none/m.test(text) ? { type: "plain" } : { type: "encrypted", publicKey: null };
  return { type: "notAKey" };
}

function inspectOpenSshKey(text: string): PrivateKeyKind {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----(?<body>[^-]*)-----END/.exec(text)?.groups?.body ?? "";
  const bytes = Buffer.from(body, "base64");
  const magic = "openssh-key-v1\0";
  if (bytes.toString("latin1", 0, magic.length) !== magic) return { type: "notAKey" };
  const fields = readStrings(bytes.subarray(magic.length));
  const cipher = fields(0)?.toString("latin1");
  if (cipher === undefined) return { type: "notAKey" };
  // ciphername, kdfname, kdfoptions, u32 count, public key.
  const publicKey = fields(3);
  const type = publicKey === null ? null : keyTypeOf(publicKey);
  if (type?.startsWith("sk-") === true)
    return { type: "unsupported", what: "keys held by a security key are not supported" };
  return cipher === "none" ? { type: "plain" } : { type: "encrypted", publicKey };
}

/** Length-prefixed strings at the head of a private key: the three names, and the public key after the count. */
function readStrings(bytes: Buffer): (index: number) => Buffer | null {
  return (index) => {
    let offset = 0;
    for (let i = 0; ; i++) {
      if (i === 3) offset += 4;
      if (offset + 4 > bytes.length) return null;
      const length = bytes.readUInt32BE(offset);
      if (offset + 4 + length > bytes.length) return null;
      if (i === index) return bytes.subarray(offset + 4, offset + 4 + length);
      offset += 4 + length;
    }
  };
}

type KeyFile =
  | { readonly type: "read"; readonly content: Buffer; readonly mode: number }
  | { readonly type: "missing"; readonly reason: string };

async function readKeyFile(path: string): Promise<KeyFile> {
  try {
    const facts = await stat(path);
    if (!facts.isFile()) return { type: "missing", reason: "is not a file" };
    if (facts.size > MAX_KEY_FILE) return { type: "missing", reason: `is too large for a key (${facts.size} bytes)` };
    return { type: "read", content: await readFile(path), mode: facts.mode };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      type: "missing",
      reason: code === "ENOENT" ? "no such file" : code === "EACCES" ? "permission denied" : String(code),
    };
  }
}

async function readPublicKey(path: string): Promise<Buffer | null> {
  const read = await readKeyFile(path);
  if (read.type === "missing") return null;
  const [type, body] = read.content.toString("latin1").trim().split(/\s+/);
  const key = Buffer.from(body ?? "", "base64");
  return type !== undefined && keyTypeOf(key) === type ? key : null;
}

function warnOfPermissions(question: IdentityQuestion, path: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  question.notice({
    code: "SSH_KEY_PERMISSIONS",
    message: `key file ${path} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, "0")}); ssh itself would ignore it`,
    hint: `chmod 600 ${path}`,
  });
}

function problem(name: string, code: string, reason: string, hint: string): EngineError {
  return new EngineError("transport", code, `${cannotConnect(name)}: ${reason}`, { hint });
}
