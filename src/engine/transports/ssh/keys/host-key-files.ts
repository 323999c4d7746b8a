// The files about host keys: the entries for a host in known_hosts, lists of revoked keys and the machine list, and how a new key is added.

import { createHmac, randomBytes } from "node:crypto";
import { appendFileSync, readFileSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { messageOf } from "../../../base/errors.ts";
import type { SshHostConfig } from "../config/ssh-config.ts";
import { type SshTarget, sshName } from "../config/ssh-settings.ts";
import { type HostKeyQuestion, lookupName, parsePublicHostKey } from "./host-key-check.ts";
import { type KnownHost, keyTypeOf, lookupHostKey, parseKnownHosts } from "./known-hosts.ts";

const MAX_FILE = 32 * 1024 * 1024;

/** The beginning of a key revocation list in its binary form (OpenSSH, PROTOCOL.krl). */
const KRL_MAGIC = Buffer.from("SSHKRL\n\0", "latin1");

/** The entries for a host in known_hosts and the machine list. */
export async function hostKeyQuestion(target: SshTarget, config: SshHostConfig): Promise<HostKeyQuestion> {
  const name = sshName(target.destination);
  return {
    name,
    host: config.host,
    port: config.port,
    hostKeyAlias: config.hostKeyAlias,
    pinned: target.publicHostKey === null ? [] : parsePublicHostKey(name, target.publicHostKey),
    knownHosts: await readKnownHosts(config),
    revoked: await readRevokedKeys(config.revokedHostKeys),
    userFile: config.userKnownHosts[0] ?? null,
    hashed: config.hashKnownHosts,
    strict: config.strict,
  };
}

/** The lines of all known_hosts files of a host's configuration. */
export async function readKnownHosts(config: SshHostConfig): Promise<KnownHost[]> {
  const found: KnownHost[] = [];
  for (const file of [...config.userKnownHosts, ...config.globalKnownHosts]) {
    const bytes = await readIfFile(file);
    if (bytes !== null) found.push(...parseKnownHosts(bytes.toString("utf8"), file));
  }
  return found;
}

/** Whether a file is a revocation list that only OpenSSH can read. */
export async function isBinaryRevocationList(file: string): Promise<boolean> {
  const bytes = await readIfFile(file);
  return bytes !== null && isBinary(bytes);
}

function isBinary(bytes: Buffer): boolean {
  return bytes.subarray(0, KRL_MAGIC.length).equals(KRL_MAGIC);
}

/**
 * The public keys of `RevokedHostKeys`, one per line; a file that cannot be read revokes every key, as in ssh, and so does a binary list, which
 * gets here only if no ssh program reads it.
 */
async function readRevokedKeys(file: string | null): Promise<HostKeyQuestion["revoked"]> {
  if (file === null || file === "/dev/null") return { type: "keys", file: "", keys: [] };
  const bytes = await readIfFile(file);
  if (bytes === null) return { type: "unreadable", file, reason: "cannot be read" };
  if (isBinary(bytes)) {
    const reason = "is in the binary form that only OpenSSH's own client reads, which is not installed";
    return { type: "unreadable", file, reason };
  }
  const keys = bytes
    .toString("latin1")
    .split("\n")
    .flatMap((line) => {
      // Options may precede the key, and a comment follow it.
      const fields = line.trim().split(/[ \t]+/);
      return fields.flatMap((type, index) => {
        const key = Buffer.from(fields[index + 1] ?? "", "base64");
        return keyTypeOf(key) === type ? [key] : [];
      });
    });
  return { type: "keys", file, keys };
}

/**
 * Appends a host's key to the user's known_hosts, hashed if the configuration wants that (ssh_config, HashKnownHosts). Concurrent connections that
 * accept the same key write it once.
 * @returns why it could not be written, or null
 */
export function rememberHostKey(question: HostKeyQuestion, key: Buffer): string | null {
  const { userFile, hashed } = question;
  const name = lookupName(question);
  if (userFile === null) return "UserKnownHostsFile none";
  try {
    const before = readAtOnce(userFile);
    if (lookupHostKey(parseKnownHosts(before, userFile), name, key).type === "ok") return null;
    makeDirectories(dirname(userFile), 0o700);
    const line = `${hashed ? hashedName(name) : name} ${keyTypeOf(key) ?? ""} ${key.toString("base64")}\n`;
    const start = before === "" || before.endsWith("\n") ? "" : "\n";
    appendFileSync(userFile, start + line, { mode: 0o600 });
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** `|1|salt|hash` of sshd(8). */
function hashedName(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
}

function readAtOnce(file: string): string {
  try {
    if (statSync(file).size > MAX_FILE) return "";
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

async function readIfFile(file: string): Promise<Buffer | null> {
  try {
    const facts = await stat(file);
    if (!facts.isFile() || facts.size > MAX_FILE) return null;
    return await readFile(file);
  } catch {
    return null;
  }
}
