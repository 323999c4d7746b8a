// Every way an SSH connection fails: its code, its message, and whether trying again in this run can help.
import { EngineError, messageOf, withHint } from "../../base/errors.ts";

/** Failures that last until somebody changes a file: host keys, login keys, configuration, a machine without Nix. */
const PERMANENT = new Set([
  "SSH_BAD_HOST",
  "SSH_CONFIG_BAD",
  "SSH_HOST_KEY_BAD",
  "SSH_HOST_KEY_UNKNOWN",
  "SSH_HOST_KEY_CHANGED",
  "SSH_HOST_KEY_REVOKED",
  "SSH_KEY_MISSING",
  "SSH_KEY_UNREADABLE",
  "SSH_KEY_PASSPHRASE",
  "SSH_KEY_REJECTED",
  "SSH_NO_IDENTITY",
  "SSH_NO_COMMON_ALGORITHM",
  "SSH_NOT_SSH",
  "REMOTE_NIX_NOT_FOUND",
  "CHILD_NOT_FOUND",
  "CHILD_DENIED",
  "UNIX_SOCKET_DENIED",
]);

/** True for failures that a retry in this run cannot fix; false for refusals, time-outs and lost links, which pass. */
export function isPermanentFailure(error: unknown): boolean {
  return error instanceof EngineError && PERMANENT.has(error.code);
}

/** The fields ssh2 and Node put on the errors they emit. */
interface RawError {
  readonly code?: unknown;
  readonly level?: unknown;
  readonly message: string;
}

/** The beginning of every message, as in the manual. */
export function cannotConnect(name: string): string {
  return `cannot connect to '${name}'`;
}

/** A connection failure before it was ready. `where` is `host:port` as actually tried. */
export function connectFailure(name: string, where: string, error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  const raw: RawError = error instanceof Error ? error : { message: messageOf(error) };
  const make = (code: string, reason: string, hint?: string): EngineError =>
    new EngineError("transport", code, `${cannotConnect(name)}: ${reason}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  switch (raw.code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NONAME":
      return make(
        "SSH_HOST_NOT_FOUND",
        `host name not found: ${where}`,
        "check the name, the network, and HostName of an alias in ~/.ssh/config",
      );
    case "ECONNREFUSED":
      return make("SSH_REFUSED", `connection refused by ${where}`, "is sshd running there, and is the port right?");
    case "ETIMEDOUT":
      return make("SSH_TIMEOUT", `no answer from ${where}`, "is the machine up, and does a firewall drop the port?");
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EHOSTDOWN":
    case "ENETDOWN":
    case "EADDRNOTAVAIL":
      return make("SSH_NO_ROUTE", `no route to ${where}`, "is the network (or the VPN) up?");
    case "ECONNRESET":
    case "EPIPE":
      return dropped(make, where);
  }
  const message = raw.message;
  if (raw.level === "client-authentication" || /Too many authentication failures/i.test(message)) {
    return make("SSH_KEY_REJECTED", `${where} rejected every key: ${message}`);
  }
  if (/no matching/i.test(message)) {
    return make(
      "SSH_NO_COMMON_ALGORITHM",
      `no algorithm in common with ${where}: ${message}`,
      "see Ciphers, MACs, KexAlgorithms and HostKeyAlgorithms in both ssh configurations",
    );
  }
  if (/Connection lost before handshake|No response from server/i.test(message)) return dropped(make, where);
  if (/identification|Invalid packet|Bad packet|malformed|Unexpected/i.test(message)) {
    return make("SSH_NOT_SSH", `${where} does not speak SSH: ${message}`, "is another service listening on that port?");
  }
  return make("SSH_FAILED", `${where}: ${message}`);
}

function dropped(make: (code: string, reason: string, hint?: string) => EngineError, where: string): EngineError {
  return make(
    "SSH_DROPPED",
    `${where} closed the connection before the login`,
    "sshd may be overloaded (MaxStartups) or refuse this address (DenyUsers, fail2ban, PerSourcePenalties)",
  );
}

/** A login for which every way has failed. */
export interface RejectedLogin {
  readonly name: string;
  readonly where: string;
  readonly user: string;
  /** Key files and the agent, in the order tried. */
  readonly tried: readonly string[];
  /** Methods the server still accepts, null when it did not say. */
  readonly accepted: readonly string[] | null;
  /** Why other keys could not be tried. */
  readonly problems: readonly EngineError[];
}

/** SSH_KEY_REJECTED; if nothing could be tried at all, the reason for that, or SSH_NO_IDENTITY. */
export function loginRejected(login: RejectedLogin): EngineError {
  const { name, where, user, accepted } = login;
  const keys = [...new Set(login.tried)];
  const problem = login.problems[0];
  if (keys.length === 0) {
    return (
      problem ??
      new EngineError("transport", "SSH_NO_IDENTITY", `${cannotConnect(name)}: no key to log in to ${where} with`, {
        hint: "make one (ssh-keygen -t ed25519), load one into ssh-agent, or name one: ssh-key in the store's URI or the machine list",
      })
    );
  }
  const only = accepted === null || accepted.includes("publickey") ? "" : `; it accepts ${accepted.join(", ")} only`;
  const advice = `add the public key to ~${user}/.ssh/authorized_keys there; ssh -v ${name} shows what ssh itself tries`;
  return new EngineError(
    "transport",
    "SSH_KEY_REJECTED",
    `${cannotConnect(name)}: ${where} rejected ${keys.join(", ")} for user '${user}'${only}`,
    { hint: problem === undefined ? advice : withHint(problem.message, problem.hint) },
  );
}

/** A connection that was ready and was lost. */
export function linkLost(name: string, reason: string, cause?: unknown): EngineError {
  return new EngineError("transport", "SSH_LINK_LOST", `the connection to '${name}' was lost: ${reason}`, { cause });
}

/** No answer for `ms` milliseconds while connecting. */
export function connectTimeout(name: string, where: string, ms: number): EngineError {
  return new EngineError(
    "transport",
    "SSH_TIMEOUT",
    `${cannotConnect(name)}: no login at ${where} within ${Math.round(ms / 100) / 10} s`,
    {
      hint: "is the machine up? ConnectTimeout in ~/.ssh/config changes how long is waited",
    },
  );
}
