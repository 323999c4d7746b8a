// The command line that starts Nix on a builder, and what its failure to start means.
import { EngineError } from "../base/errors.ts";
import type { CloseReason, Transport } from "./transport.ts";

/** Which server to start on the other side. */
export interface RemoteNix {
  /** `worker`: `nix-daemon --stdio` (ssh-ng://); `serve`: `nix-store --serve --write` (ssh://). */
  readonly protocol: "worker" | "serve";
  /** Words of `remote-program` in the store's URI; empty for Nix's default. */
  readonly program: readonly string[];
  /** `remote-store` of the URI: the store to open there, null for its default. */
  readonly store: string | null;
}

/** The words of the command, unquoted, as in Nix 2.34 (SSHStore::openConnection, LegacySSHStore::openConnection). */
export function remoteNixWords(remote: RemoteNix): [string, ...string[]] {
  const [defaultProgram, ...flags] =
    remote.protocol === "worker"
      ? (["nix-daemon", "--stdio"] as const)
      : (["nix-store", "--serve", "--write"] as const);
  const [program, ...programArguments] = remote.program;
  const store = remote.store === null || remote.store === "" ? [] : ["--store", remote.store];
  return [program ?? defaultProgram, ...programArguments, ...flags, ...store];
}

/** The command as one line for the login shell of the remote machine. */
export function remoteNixCommand(remote: RemoteNix): string {
  return remoteNixWords(remote).map(shellQuote).join(" ");
}

/** Quotes a word for a POSIX shell. A leading `~/` stays bare, so that it can name a program in the remote home directory. */
export function shellQuote(word: string): string {
  if (/^[A-Za-z0-9@%+=:,./_-]+$/.test(word)) return word;
  if (/^~\/[A-Za-z0-9@%+=:,./_-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** How shells report that a command does not exist: bash and ksh, dash and busybox, zsh, fish. */
const NOT_FOUND = [
  /command not found: (?<program>\S+)/,
  /(?:^|\s)(?<program>\S+): command not found/m,
  /^\S*sh: (?:line )?\d*:? ?(?<program>\S+): not found/m,
  /Unknown command:? (?<program>\S+)/,
];

/** The program a shell could not find, from its message; null when it reports no such thing. */
export function programNotFound(stderr: string): string | null {
  for (const pattern of NOT_FOUND) {
    const program = pattern.exec(stderr)?.groups?.program;
    if (program !== undefined) return program.replace(/^['"`]|['"`]$/g, "");
  }
  return null;
}

/**
 * Why a remote command ended before its handshake: the error to throw when a handshake meets the end of its input.
 * `host` is the machine as the user named it, `command` what was run there. A missing Nix gives REMOTE_NIX_NOT_FOUND with the manual's advice
 * (Nix manual, Remote Builds); anything else REMOTE_COMMAND_ENDED with the last line it printed.
 */
export function explainRemoteEnd(host: string, reason: CloseReason, stderrTail: string, command: string): Error {
  const start = `cannot connect to '${host}'`;
  if (reason.type === "failed") return reason.error;
  const missing = programNotFound(stderrTail);
  const exitCode = reason.type === "closedThere" ? reason.exitCode : null;
  if (missing !== null || exitCode === 127) {
    const said = missing === null ? (lastLine(stderrTail) ?? "command not found") : `${missing}: command not found`;
    return new EngineError("transport", "REMOTE_NIX_NOT_FOUND", `${start}: ${said}`, {
      hint:
        "make sure that the PATH of non-interactive login shells there contains Nix, or name the program in the store's URI: " +
        "?remote-program=/nix/var/nix/profiles/default/bin/nix-daemon",
    });
  }
  const line = lastLine(stderrTail);
  return new EngineError(
    "transport",
    "REMOTE_COMMAND_ENDED",
    `${start}: ${describeEnd(reason)}${line === null ? "" : `: ${line}`}`,
    { hint: `try it by hand: ssh ${host} ${shellQuote(command)}` },
  );
}

/**
 * Call it on a transport to a command that reads nothing. If the account's forced command runs a Nix server instead, that server waits for a greeting
 * indefinitely: these bytes are not a greeting, and end it.
 */
export function endForcedServer(transport: Transport): void {
  transport.write(new Uint8Array(64)).catch(() => undefined);
}

/** How a command ended, in words. */
export function describeEnd(reason: CloseReason): string {
  switch (reason.type) {
    case "closedHere":
      return "the connection was closed here";
    case "failed":
      return reason.error.message;
    case "closedThere":
      if (reason.signal !== null) return `the remote command was killed by ${reason.signal}`;
      if (reason.exitCode !== null) return `the remote command exited with status ${reason.exitCode}`;
      return "the other side closed the connection";
  }
}

function lastLine(text: string): string | null {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return lines.at(-1)?.trim() ?? null;
}
