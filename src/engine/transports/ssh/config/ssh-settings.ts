// The user's settings for an SSH connection, and the pieces that every file of the SSH transport shares.
import { isIPv6 } from "node:net";
import { EngineError } from "../../../base/errors.ts";
import { withoutPassword } from "../../../base/without-password.ts";
import type { SshOptions } from "../../../config/ssh-options.ts";
import type { SshDestination } from "../../../config/store-reference.ts";
import { isSshHost, isSshUser } from "../../../formats/ssh-names.ts";

/** One `keyword value` of ssh_config(5), as in `-o Keyword=value`. The keyword's case does not matter. */
export interface SshOption {
  readonly keyword: string;
  readonly value: string;
}

/**
 * Settings besides the user's own ssh configuration: those of NIX_SSHOPTS. Every flag of ssh that makes sense here is also an option of
 * ssh_config(5): `-p` Port, `-l` User, `-i` IdentityFile, `-J` ProxyJump, `-C` Compression=yes, `-4`/`-6` AddressFamily, `-c` Ciphers.
 */
export interface SshSettings {
  /** `-F`: this file instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; `none` for no file at all. */
  readonly configFile: string | null;
  /** In order; the first value of a keyword wins, and all of them override the configuration files. */
  readonly options: readonly SshOption[];
}

/** Nothing but the user's own ssh configuration. */
export const NO_SSH_SETTINGS: SshSettings = { configFile: null, options: [] };

/** NIX_SSHOPTS as settings: its identity files come before those of the configuration files. */
export function settingsFromOptions(options: SshOptions): SshSettings {
  const files = options.identityFiles.map((value) => ({ keyword: "IdentityFile", value }));
  const others = [...options.settings].map(([keyword, value]) => ({ keyword, value }));
  return { configFile: options.configFile, options: [...files, ...others] };
}

/** Where an SSH connection goes, and the SSH parameters of the store's reference. */
export interface SshTarget {
  readonly destination: SshDestination;
  /** `ssh-key` of the URI or the third column of a machine list. */
  readonly sshKey: string | null;
  /** `base64-ssh-public-host-key`, or the eighth column: base64 of a whole public key line. */
  readonly publicHostKey: string | null;
  /** `compress=true` of the URI. */
  readonly compress: boolean;
  readonly settings: SshSettings;
}

/** Something the user should know that does not prevent the connection. */
export interface SshNotice {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Times and bounds of SSH connections; the user's ServerAliveInterval, ServerAliveCountMax and ConnectTimeout win over the first three. */
export interface SshLimits {
  /** Milliseconds between two keep-alive requests. */
  readonly keepAliveIntervalMs: number;
  /** Intervals without any sign of life after which a connection counts as lost. */
  readonly keepAliveCount: number;
  /** Milliseconds from the first packet to the end of the login. */
  readonly connectTimeoutMs: number;
  /** Channels per connection: one below the usual MaxSessions of sshd, which is 10. */
  readonly channelsPerConnection: number;
  /** Concurrent logins to one host: sshd's MaxStartups begins to drop the eleventh. */
  readonly loginsPerHost: number;
  /** Concurrent logins to all hosts together. */
  readonly loginsAtOnce: number;
}

export const DEFAULT_SSH_LIMITS: SshLimits = {
  keepAliveIntervalMs: 5000,
  keepAliveCount: 3,
  connectTimeoutMs: 15_000,
  channelsPerConnection: 9,
  loginsPerHost: 3,
  loginsAtOnce: 16,
};

/** The machine's name in messages: `mac`, `nix@mac`, `nix@mac:2222`. */
export function sshName(destination: SshDestination): string {
  const { user, host, port } = destination;
  const place = port === null ? host : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return user === null ? place : `${user}@${place}`;
}

/**
 * Parses `[user@]host[:port]`, with an IPv6 address in brackets or (without a port) bare; a leading `ssh://` is allowed, as in ProxyJump.
 * Throws SSH_BAD_HOST, also for a host that begins with a dash, which ssh would take for a flag.
 */
export function parseSshAddress(text: string): SshDestination {
  const bare = text.replace(/^ssh:\/\//, "").replace(/\/$/, "");
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? null : bare.slice(0, at);
  const place = bare.slice(at + 1);
  const match =
    /^\[(?<bracketed>[^\]]+)\](?::(?<port>\d+))?$/.exec(place) ?? /^(?<name>[^:]+)(?::(?<port>\d+))?$/.exec(place);
  const host = match?.groups?.bracketed ?? match?.groups?.name ?? (isIPv6(place) ? place : "");
  const port = match?.groups?.port === undefined ? null : Number(match.groups.port);
  return checkSshDestination({ user, host, port }, text);
}

/** The same destination if it can be passed to ssh: nothing empty, no blanks, nothing ssh would take for a flag. Throws SSH_BAD_HOST. */
export function checkSshDestination(destination: SshDestination, shown = sshName(destination)): SshDestination {
  const { user, host, port } = destination;
  const found = withoutPassword(shown);
  if (isSshHost(host) && (user === null || isSshUser(user)) && (port === null || (port >= 1 && port <= 65535)))
    return destination;
  throw new EngineError(
    "config",
    "SSH_BAD_HOST",
    `cannot connect to '${found}': expected [user@]host[:port], found '${found}'`,
    {
      hint: "name the machine as `ssh://user@host`, or by an alias of ~/.ssh/config",
    },
  );
}
