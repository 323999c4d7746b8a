// Store references: which store a URI, a word (`auto`, `daemon`) or a directory means, and how it is printed.
import { posix } from "node:path";
import { EngineError } from "../base/errors.ts";
import { withoutPassword } from "../base/without-password.ts";
import { isSshHost, isSshUser } from "../formats/ssh-names.ts";
import { STORE_DIR } from "../formats/store-path.ts";
import type {
  CacheParameters,
  CommonParameters,
  LocalParameters,
  Parameters,
  ParameterTable,
  SshParameters,
} from "./store-parameters.ts";
import { parseParameters, printParameters, unheededParameters } from "./store-parameters.ts";

/** Where SSH connects to. `host` may be an alias of `~/.ssh/config`; IPv6 addresses have no brackets. */
export interface SshDestination {
  readonly user: string | null;
  readonly host: string;
  readonly port: number | null;
}

export interface AutoReference {
  readonly type: "auto";
  readonly parameters: CommonParameters;
}
/** A daemon's socket; null means the system's (settings.daemonSocket). */
export interface DaemonReference {
  readonly type: "daemon";
  readonly socket: string | null;
  readonly parameters: LocalParameters;
}
/** `ssh` prefers the worker protocol and falls back to the serve protocol; `ssh-ng` is the worker protocol only. */
export interface SshReference {
  readonly type: "ssh";
  readonly scheme: "ssh" | "ssh-ng";
  readonly destination: SshDestination;
  readonly parameters: SshParameters;
}
/** A store on this machine's disk: `ROOT/nix/store`, or `/nix/store` itself when root is null. */
export interface LocalReference {
  readonly type: "local";
  readonly root: string | null;
  readonly parameters: LocalParameters;
}
/** A binary cache. `location`: an absolute directory (file), or everything after `scheme://` without user and password. */
export interface CacheReference {
  readonly type: "cache";
  readonly scheme: "file" | "http" | "https" | "s3";
  readonly location: string;
  /** From `http://user:password@host`; never printed. */
  readonly credentials: { readonly user: string; readonly password: string } | null;
  readonly parameters: CacheParameters;
}

/** A store, and how to reach it (Nix manual, store types). */
export type StoreReference = AutoReference | DaemonReference | SshReference | LocalReference | CacheReference;

/** What relative directories and `~/` are resolved against. */
export interface ReferenceContext {
  readonly cwd: string;
  readonly home: string;
}

export interface ParsedStoreReference {
  readonly reference: StoreReference;
  /** `unknown store parameter 'x'`. */
  readonly unknown: readonly string[];
  /** The same, and `store parameter 'x' has no effect here`. */
  readonly warnings: readonly string[];
}

/**
 * Parses a store reference. Parameters in `extra` win over those in the text, as in Nix.
 * @throws EngineError `STORE_REFERENCE_MALFORMED`, `STORE_REFERENCE_BAD_PARAMETER`, `STORE_REFERENCE_STORE_DIR`
 */
export function parseStoreReference(
  text: string,
  context: ReferenceContext,
  extra: ReadonlyMap<string, string> = new Map(),
): ParsedStoreReference {
  const question = text.indexOf("?");
  const base = question < 0 ? text : text.slice(0, question);
  const shown = withoutPassword(base);
  const given = new Map([...parseQuery(question < 0 ? "" : text.slice(question + 1), text), ...extra]);
  const storeDir = given.get("store");
  if (storeDir !== undefined && storeDir !== STORE_DIR) {
    throw new EngineError(
      "config",
      "STORE_REFERENCE_STORE_DIR",
      `store '${shown}': expected the store directory '${STORE_DIR}', found '${storeDir}'`,
      { hint: "to keep a store elsewhere on disk, name that directory as the store: --store DIRECTORY" },
    );
  }

  const unknown: string[] = [];
  const unheeded: string[] = [];
  const written = [...parseQuery(question < 0 ? "" : text.slice(question + 1), text).keys()];
  const parameters = <Table extends ParameterTable>(table: Table): Parameters[Table] => {
    const parsed = parseParameters(table, given);
    const [bad] = parsed.bad;
    if (bad !== undefined) {
      throw new EngineError(
        "config",
        "STORE_REFERENCE_BAD_PARAMETER",
        `store '${shown}': parameter '${bad.name}': expected ${bad.expected}, found '${bad.value.slice(0, 200)}'`,
      );
    }
    unknown.push(...parsed.warnings);
    unheeded.push(...unheededParameters(table, written));
    return parsed.parameters;
  };
  const reference = parseBase(base, text, context, parameters);
  // The daemon decides these itself.
  if (reference.type === "daemon")
    unheeded.push(...written.filter((name) => name === "require-sigs" || name === "root"));
  const idle = unheeded.map((name) => `store '${shown}': parameter '${name}' has no effect here`);
  return { reference, unknown, warnings: [...unknown, ...idle] };
}

type ParameterReader = <Table extends ParameterTable>(table: Table) => Parameters[Table];

function parseBase(base: string, text: string, context: ReferenceContext, parameters: ParameterReader): StoreReference {
  if (base === "" || base === "auto") return { type: "auto", parameters: parameters("common") };
  if (base === "daemon") return { type: "daemon", socket: null, parameters: parameters("local") };
  if (base === "local") {
    const local = parameters("local");
    return { type: "local", root: local.root, parameters: local };
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(base);
  if (scheme === null) {
    if (!base.includes("/")) throw malformed(text, "a directory (with a '/'), 'auto', 'daemon', 'local' or a URI");
    return { type: "local", root: absolute(base, context), parameters: parameters("local") };
  }
  const name = (scheme[1] ?? "").toLowerCase();
  const rest = scheme[2] ?? "";
  switch (name) {
    case "unix":
      return {
        type: "daemon",
        socket: rest === "" ? null : absolute(decode(rest, text), context),
        parameters: parameters("local"),
      };
    case "local": {
      const local = parameters("local");
      return {
        type: "local",
        root: rest === "" ? local.root : absolute(decode(rest, text), context),
        parameters: local,
      };
    }
    case "ssh":
    case "ssh-ng":
      return { type: "ssh", scheme: name, destination: parseDestination(rest, text), parameters: parameters("ssh") };
    case "file":
      if (rest === "") throw malformed(text, "'file:///DIRECTORY'");
      return {
        type: "cache",
        scheme: "file",
        location: absolute(decode(rest, text), context),
        credentials: null,
        parameters: parameters("cache"),
      };
    case "http":
    case "https":
    case "s3":
      return { type: "cache", scheme: name, ...parseLocation(rest, text), parameters: parameters("cache") };
    default:
      throw malformed(text, "one of the schemes unix, local, ssh, ssh-ng, file, http, https, s3");
  }
}

const SHELL_SIGNS = "any of $ \\ ; & < > | ( ) { }, that does not begin with '-'";

/** `host`, `user@host:port`, `[::1]:22`, and for old configurations an address without brackets. */
function parseDestination(rest: string, text: string): SshDestination {
  const authority = rest.replace(/\/+$/, "");
  const at = authority.lastIndexOf("@");
  const user = at < 0 ? null : decode(authority.slice(0, at), text);
  const hostAndPort = authority.slice(at + 1);
  const bracketed = /^\[([0-9a-f:.]+(?:%(?:25)?[^\]]+)?)\](?::(\d+))?$/i.exec(hostAndPort);
  const bare = /^([0-9a-f.]*:[0-9a-f:.]*:[0-9a-f:.]*(?:%.+)?)$/i.exec(hostAndPort);
  const named = /^([^:/[\]]+)(?::(\d+))?$/.exec(hostAndPort);
  const match = bracketed ?? bare ?? named;
  if (match === null) throw malformed(text, "'[USER@]HOST[:PORT]' behind '://'");
  const written = match[1] ?? "";
  const host = match === named ? decode(written, text) : written.replace(/%(?:25)?/, "%");
  const port = match[2] === undefined ? null : Number(match[2]);
  if (user?.includes(":") === true) throw malformed(text, "a user without a password: SSH logs in by key");
  if (!isSshHost(host)) throw malformed(text, `a host name without blanks, quotes and ${SHELL_SIGNS}`);
  if (user !== null && !isSshUser(user)) throw malformed(text, `a user name without blanks, quotes and ${SHELL_SIGNS}`);
  if (port !== null && (port < 1 || port > 65535)) throw malformed(text, "a port from 1 to 65535");
  return { user, host, port };
}

function parseLocation(rest: string, text: string): Pick<CacheReference, "location" | "credentials"> {
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "" : rest.slice(slash).replace(/\/+$/, "");
  const at = authority.lastIndexOf("@");
  if (authority.slice(at + 1) === "") throw malformed(text, "a host (or bucket) behind '://'");
  const location = authority.slice(at + 1) + path;
  if (at < 0) return { location, credentials: null };
  const [user = "", ...password] = authority.slice(0, at).split(":");
  return { location, credentials: { user: decode(user, text), password: decode(password.join(":"), text) } };
}

function parseQuery(query: string, text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    // Nix ignores a parameter without '='.
    if (at > 0) pairs.set(decode(part.slice(0, at), text), decode(part.slice(at + 1), text));
  }
  return pairs;
}

function decode(encoded: string, text: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw malformed(text, "'%' followed by two hexadecimal digits", cause);
  }
}

function absolute(path: string, { cwd, home }: ReferenceContext): string {
  const expanded = path === "~" || path.startsWith("~/") ? home + path.slice(1) : path;
  const resolved = posix.resolve(cwd, expanded);
  return resolved;
}

function malformed(text: string, expected: string, cause?: unknown): EngineError {
  return new EngineError(
    "config",
    "STORE_REFERENCE_MALFORMED",
    `cannot parse store reference '${withoutPassword(text).slice(0, 300)}': expected ${expected}`,
    { hint: "for example ssh://nix@mac, ssh-ng://mac, daemon, ./my-store or https://cache.nixos.org", cause },
  );
}

/**
 * The reference as text that parses to the same store; passwords are left out. Messages use the short form without parameters, as Nix does.
 */
export function printStoreReference(reference: StoreReference, form: "short" | "full" = "short"): string {
  const base = printBase(reference);
  if (form === "short") return base;
  const pairs = parametersOf(reference).filter(([name]) => !(reference.type === "local" && name === "root"));
  if (pairs.length === 0) return base;
  const query = pairs.map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`);
  return `${base}?${query.join("&")}`;
}

function parametersOf(reference: StoreReference): [string, string][] {
  switch (reference.type) {
    case "auto":
      return printParameters("common", reference.parameters);
    case "daemon":
    case "local":
      return printParameters("local", reference.parameters);
    case "ssh":
      return printParameters("ssh", reference.parameters);
    case "cache":
      return printParameters("cache", reference.parameters);
  }
}

function printBase(reference: StoreReference): string {
  switch (reference.type) {
    case "auto":
      return "auto";
    case "daemon":
      return reference.socket === null ? "daemon" : `unix://${encodePath(reference.socket)}`;
    case "local":
      return reference.root === null ? "local" : `local://${encodePath(reference.root)}`;
    case "ssh":
      return `${reference.scheme}://${printDestination(reference.destination)}`;
    case "cache":
      return `${reference.scheme}://${reference.scheme === "file" ? encodePath(reference.location) : reference.location}`;
  }
}

/** `user@host:port`, as after `ssh://`. */
export function printDestination({ user, host, port }: SshDestination): string {
  const shownHost = host.includes(":") ? `[${host.replace("%", "%25")}]` : encodeURIComponent(host);
  const shownUser = user === null ? "" : `${encodeURIComponent(user)}@`;
  return `${shownUser}${shownHost}${port === null ? "" : `:${port}`}`;
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function encodeQuery(value: string): string {
  return encodeURIComponent(value).replace(/%(2F|3A|2C|40)/g, (code) => decodeURIComponent(code));
}

/** Whether Nix runs the remote program directly on this machine instead of through SSH: the destination is exactly `localhost`. */
export function runsWithoutSsh({ user, host, port }: SshDestination): boolean {
  return user === null && host === "localhost" && port === null;
}
