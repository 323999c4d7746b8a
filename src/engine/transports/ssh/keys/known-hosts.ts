// known_hosts: which host keys are known, by sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT".
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** One usable line of a known_hosts file. */
export interface KnownHost {
  readonly marker: "none" | "revoked" | "certAuthority";
  /** The first field: patterns separated by commas, or one hashed name. */
  readonly hosts: string;
  readonly keyType: string;
  readonly key: Buffer;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** Where a key is listed. */
export interface KnownHostPlace {
  readonly file: string;
  readonly line: number;
  readonly keyType: string;
}

/** What the files say about a host's key. */
export type HostKeyVerdict =
  | { readonly type: "ok"; readonly place: KnownHostPlace }
  /** Another key of the same type is listed. */
  | { readonly type: "changed"; readonly place: KnownHostPlace }
  /** No key of this type; `others` are the host's known keys of other types. */
  | { readonly type: "unknown"; readonly others: readonly KnownHostPlace[]; readonly hasCertAuthority: boolean }
  | { readonly type: "revoked"; readonly place: KnownHostPlace };

const MARKERS: Readonly<Record<string, KnownHost["marker"]>> = {
  "@revoked": "revoked",
  "@cert-authority": "certAuthority",
};

/** The usable lines of a file; comments, blank and malformed lines are skipped, as ssh does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  const entries: KnownHost[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const fields = line.trim().split(/[ \t]+/);
    const marker = fields[0]?.startsWith("@") === true ? MARKERS[fields.shift() ?? ""] : "none";
    const [hosts, keyType, base64] = fields;
    if (
      marker === undefined ||
      hosts === undefined ||
      hosts.startsWith("#") ||
      keyType === undefined ||
      base64 === undefined
    )
      continue;
    const key = Buffer.from(base64, "base64");
    if (keyTypeOf(key) !== keyType) continue;
    entries.push({ marker, hosts, keyType, key, file, line: index + 1 });
  }
  return entries;
}

/** The name a host's key is listed under: `[host]:port` for a port other than 22; a HostKeyAlias unchanged. Lower case. */
export function knownHostName(host: string, port: number): string {
  const lower = host.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

/**
 * Looks a key up. A revoked key is refused regardless of other entries. If nothing matches a name with a port, the bare host is tried too,
 * and accepted if its key is the same, as in ssh.
 */
export function lookupHostKey(entries: readonly KnownHost[], name: string, key: Buffer): HostKeyVerdict {
  const verdict = lookupExactly(entries, name, key);
  if (verdict.type !== "unknown") return verdict;
  const bare = /^\[(?<host>.+)\]:\d+$/.exec(name)?.groups?.host;
  if (bare === undefined) return verdict;
  const second = lookupExactly(entries, bare, key);
  return second.type === "ok" || second.type === "revoked" ? second : verdict;
}

/** Key types known for a host, in the order of the files: requesting them makes the server present a key that can be compared. */
export function knownKeyTypes(entries: readonly KnownHost[], name: string): string[] {
  const types = entries
    .filter((entry) => entry.marker === "none" && matchesHost(entry.hosts, name))
    .map((entry) => entry.keyType);
  return [...new Set(types)];
}

/** The type named in a public key blob, null when it is not a key. */
export function keyTypeOf(key: Buffer): string | null {
  if (key.length < 8) return null;
  const length = key.readUInt32BE(0);
  if (length === 0 || length > 64 || 4 + length > key.length) return null;
  return key.toString("latin1", 4, 4 + length);
}

/** `SHA256:…` as ssh-keygen prints it. */
export function keyFingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

function lookupExactly(entries: readonly KnownHost[], name: string, key: Buffer): HostKeyVerdict {
  const type = keyTypeOf(key);
  const mine = entries.filter((entry) => matchesHost(entry.hosts, name));
  const same = (entry: KnownHost): boolean => entry.key.equals(key);
  const revoked = mine.find((entry) => entry.marker === "revoked" && same(entry));
  if (revoked !== undefined) return { type: "revoked", place: placeOf(revoked) };
  const plain = mine.filter((entry) => entry.marker === "none");
  const ok = plain.find(same);
  if (ok !== undefined) return { type: "ok", place: placeOf(ok) };
  const changed = plain.find((entry) => entry.keyType === type);
  if (changed !== undefined) return { type: "changed", place: placeOf(changed) };
  return {
    type: "unknown",
    others: plain.map(placeOf),
    hasCertAuthority: mine.some((entry) => entry.marker === "certAuthority"),
  };
}

function placeOf(entry: KnownHost): KnownHostPlace {
  return { file: entry.file, line: entry.line, keyType: entry.keyType };
}

/** Whether the first field of a line names the host. A negated pattern that matches excludes the line. */
export function matchesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith("|")) return matchesHashed(hosts, name);
  let matched = false;
  for (const pattern of hosts.toLowerCase().split(",")) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) {
      matched = true;
    }
  }
  return matched;
}

/** `*` and `?` of ssh_config(5) PATTERNS. Linear in both lengths except for repeated `*`, so that a hostile file cannot stall the program. */
export function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let starAt = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      starAt = p++;
      resume = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (starAt >= 0) {
      p = starAt + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** `|1|salt|hash`: HMAC-SHA1 of the name under the salt. */
function matchesHashed(hosts: string, name: string): boolean {
  const [, version, salt, hash] = hosts.split("|");
  if (version !== "1" || salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, "base64");
  const found = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return expected.length === found.length && timingSafeEqual(expected, found);
}
