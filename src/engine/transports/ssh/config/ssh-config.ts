// The ssh configuration of one host as values: the keywords of ssh_config(5) → what this program needs from them.
import { createHash } from "node:crypto";
import { EngineError } from "../../../base/errors.ts";
import { isConfiguredUser, isSshHost } from "../../../formats/ssh-names.ts";
import type { StrictHostKeyChecking } from "../keys/host-key-check.ts";
import { cannotConnect } from "../ssh-errors.ts";
import { parseSshAddress } from "./ssh-settings.ts";

/** Keywords (lower case) → values in order; most have one. The output of `ssh -G`, or our own reading of the files. */
export type SshKeywords = ReadonlyMap<string, readonly string[]>;

/** How the host is reached. */
export type SshProxy =
  | { readonly type: "direct" }
  /** Hops in order, the one nearest to us first. */
  | { readonly type: "jump"; readonly hops: readonly string[] }
  /** A shell command whose standard input and output lead to the host. */
  | { readonly type: "command"; readonly command: string };

/** All that is used of a host's ssh configuration; paths and tokens are expanded. */
export interface SshHostConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly hostKeyAlias: string | null;
  readonly identityFiles: readonly IdentityFile[];
  readonly identitiesOnly: boolean;
  /** Socket of the agent to use, null for none. */
  readonly agentSocket: string | null;
  readonly proxy: SshProxy;
  readonly userKnownHosts: readonly string[];
  readonly globalKnownHosts: readonly string[];
  readonly strict: StrictHostKeyChecking;
  readonly hashKnownHosts: boolean;
  /** File of revoked host keys; null: none. */
  readonly revokedHostKeys: string | null;
  readonly keepAliveIntervalMs: number | null;
  readonly keepAliveCount: number | null;
  readonly connectTimeoutMs: number | null;
  readonly addressFamily: 0 | 4 | 6;
  readonly compression: boolean;
  /** Algorithms the user allows, null when the configuration sets none. */
  readonly ciphers: readonly string[] | null;
  readonly macs: readonly string[] | null;
  readonly kex: readonly string[] | null;
  readonly hostKeyAlgorithms: readonly string[] | null;
}

/** A key file to log in with. */
export interface IdentityFile {
  readonly path: string;
  /** Named by the user, not one of ssh's default names. */
  readonly explicit: boolean;
}

/** The invoking user and machine, for tokens. */
export interface LocalFacts {
  readonly home: string;
  readonly user: string;
  readonly uid: number;
  readonly hostName: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Default key files in ssh's order, without the hardware-backed ones, which need a touch. */
const DEFAULT_IDENTITIES = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"];

/** Tokens for a host's name. */
const HOST_TOKENS = "hnkH";

/** Settings not implemented here that change how a host is reached or trusted, or as which user. */
const UNSUPPORTED = [
  "ProxyUseFdpass",
  "KnownHostsCommand",
  "CertificateFile",
  "PKCS11Provider",
  "HostbasedAuthentication",
  "GSSAPIKeyExchange",
  "BindAddress",
  "BindInterface",
] as const;

/** The keywords `ssh -G` prints, one per line: `keyword value`. */
export function parseSshDump(text: string): SshKeywords {
  const keywords = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const blank = line.indexOf(" ");
    if (blank <= 0) continue;
    const keyword = line.slice(0, blank).toLowerCase();
    const values = keywords.get(keyword) ?? [];
    values.push(line.slice(blank + 1).trim());
    keywords.set(keyword, values);
  }
  return keywords;
}

/**
 * Reads the keywords of one host. `name` is the machine as the user named it, `original` the host part of that. Throws SSH_CONFIG_BAD for
 * unusable values.
 */
export function readSshKeywords(
  keywords: SshKeywords,
  name: string,
  original: string,
  local: LocalFacts,
): SshHostConfig {
  const one = (keyword: string): string | null => keywords.get(keyword)?.[0] ?? null;
  const setOr = (keyword: string, unset: string): string | null => {
    const value = one(keyword);
    return value === null || value.toLowerCase() === unset ? null : value;
  };
  const whole = (keyword: string): number | null => {
    const value = setOr(keyword, "none");
    if (value === null) return null;
    if (!/^\d{1,9}$/.test(value)) throw badValue(name, keyword, "a number", value);
    return Number(value);
  };
  const list = (keyword: string): string[] | null => one(keyword)?.split(",") ?? null;

  const host = one("hostname") ?? original;
  const port = whole("port") ?? 22;
  if (port < 1 || port > 65535) throw badValue(name, "port", "1 to 65535", String(port));
  const user = one("user") ?? local.user;
  const alias = setOr("hostkeyalias", "none");
  const jump = setOr("proxyjump", "none");
  const tokens: Record<string, string> = {
    "%": "%",
    h: host,
    n: original,
    p: String(port),
    r: user,
    u: local.user,
    d: local.home,
    i: String(local.uid),
    l: local.hostName,
    L: local.hostName.split(".")[0] ?? local.hostName,
    k: alias ?? original,
    j: jump ?? "",
    H: host,
    C: createHash("sha1").update(`${local.hostName}${host}${port}${user}`).digest("hex"),
  };
  const path = (text: string): string => expandPath(text, tokens, local);
  const paths = (keyword: string): string[] => {
    const value = one(keyword);
    if (value === null || value.toLowerCase() === "none") return [];
    return splitWords(value).map(path);
  };
  const interval = whole("serveraliveinterval");
  const timeout = whole("connecttimeout");
  const defaults = new Set(DEFAULT_IDENTITIES.map((file) => `${local.home}/.ssh/${file}`));
  return {
    host,
    port,
    user,
    hostKeyAlias: alias,
    identityFiles: (keywords.get("identityfile") ?? [])
      .filter((file) => file.toLowerCase() !== "none")
      .map((file) => path(unquote(file)))
      .map((file) => ({ path: file, explicit: !defaults.has(file) })),
    identitiesOnly: one("identitiesonly")?.toLowerCase() === "yes",
    agentSocket: agentSocketOf(one("identityagent"), path, local),
    proxy: proxyOf(name, jump, setOr("proxycommand", "none"), tokens),
    userKnownHosts: paths("userknownhostsfile"),
    globalKnownHosts: paths("globalknownhostsfile"),
    strict: strictOf(one("stricthostkeychecking")),
    hashKnownHosts: one("hashknownhosts")?.toLowerCase() === "yes",
    revokedHostKeys: revokedFileOf(setOr("revokedhostkeys", "none"), path),
    keepAliveIntervalMs: interval === null || interval === 0 ? null : interval * 1000,
    keepAliveCount: interval === null || interval === 0 ? null : whole("serveralivecountmax"),
    connectTimeoutMs: timeout === null || timeout === 0 ? null : timeout * 1000,
    addressFamily: one("addressfamily") === "inet" ? 4 : one("addressfamily") === "inet6" ? 6 : 0,
    compression: one("compression")?.toLowerCase() === "yes",
    ciphers: list("ciphers"),
    macs: list("macs"),
    kex: list("kexalgorithms"),
    hostKeyAlgorithms: list("hostkeyalgorithms"),
  };
}

/** Settings of a host's configuration that this program cannot honour, in words. */
export function unsupportedSettings(keywords: SshKeywords): string[] {
  return UNSUPPORTED.filter((keyword) => {
    const value = keywords.get(keyword.toLowerCase())?.[0];
    return value !== undefined && !["none", "no", "false"].includes(value.toLowerCase());
  });
}

/** Expands `~`, `${VARIABLE}` and %-tokens of a file name. Unknown tokens and unset variables stay as they are. */
export function expandPath(text: string, tokens: Readonly<Record<string, string>>, local: LocalFacts): string {
  const home = text === "~" ? local.home : text.startsWith("~/") ? `${local.home}/${text.slice(2)}` : text;
  return expandTokens(home, tokens).replace(
    /\$\{(?<name>\w+)\}/g,
    (whole, variable: string) => local.environment[variable] ?? whole,
  );
}

function expandTokens(text: string, tokens: Readonly<Record<string, string>>): string {
  return text.replace(/%(?<token>.)/g, (whole, token: string) => tokens[token] ?? whole);
}

/** Words of a value, with double quotes around those that contain blanks. */
export function splitWords(text: string): string[] {
  return [...text.matchAll(/"(?<quoted>[^"]*)"|(?<bare>[^\s"]+)/g)].map(
    (match) => match.groups?.quoted ?? match.groups?.bare ?? "",
  );
}

function unquote(text: string): string {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}

function revokedFileOf(value: string | null, path: (text: string) => string): string | null {
  return value === null ? null : path(unquote(value));
}

function agentSocketOf(value: string | null, path: (text: string) => string, local: LocalFacts): string | null {
  const fromEnvironment = local.environment.SSH_AUTH_SOCK;
  if (value === null || value === "SSH_AUTH_SOCK")
    return fromEnvironment === undefined || fromEnvironment === "" ? null : fromEnvironment;
  if (value.toLowerCase() === "none") return null;
  if (value.startsWith("$") && !value.startsWith("${")) return local.environment[value.slice(1)] ?? null;
  return path(value);
}

function proxyOf(
  name: string,
  jump: string | null,
  command: string | null,
  tokens: Readonly<Record<string, string>>,
): SshProxy {
  if (jump !== null) {
    const hops = jump.split(",").map((hop) => hop.trim());
    for (const hop of hops) parseSshAddress(hop);
    return { type: "jump", hops };
  }
  if (command !== null) {
    checkShellTokens(name, command, tokens);
    return { type: "command", command: expandTokens(command, tokens) };
  }
  return { type: "direct" };
}

/** A shell reads the command, so the values of host and user tokens must be valid by ssh's rules, no matter their source. Throws SSH_BAD_HOST. */
function checkShellTokens(name: string, command: string, tokens: Readonly<Record<string, string>>): void {
  for (const [, token = ""] of command.matchAll(/%(.)/g)) {
    const value = tokens[token] ?? "";
    const isFit = HOST_TOKENS.includes(token) ? isSshHost(value) : token !== "r" || isConfiguredUser(value);
    if (isFit) continue;
    throw new EngineError(
      "config",
      "SSH_BAD_HOST",
      `${cannotConnect(name)}: ssh configuration: ProxyCommand: expected a ${token === "r" ? "user" : "host"} name without blanks, quotes and what a shell acts on for %${token}, found '${value.slice(0, 200)}'`,
      { hint: `ssh -G ${isSshHost(name) ? name : "HOST"} shows where HostName, HostKeyAlias and User come from` },
    );
  }
}

function strictOf(value: string | null): StrictHostKeyChecking {
  switch (value?.toLowerCase()) {
    case "no":
    case "off":
    case "false":
      return "no";
    case "accept-new":
      return "acceptNew";
    default:
      return "yes";
  }
}

function badValue(name: string, keyword: string, expected: string, found: string): EngineError {
  return new EngineError(
    "config",
    "SSH_CONFIG_BAD",
    `${cannotConnect(name)}: ssh configuration: ${keyword}: expected ${expected}, found '${found}'`,
    {
      hint: `ssh -G ${name} shows what ssh itself makes of its configuration`,
    },
  );
}
