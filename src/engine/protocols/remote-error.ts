// The errors a peer can cause: what it says itself, what it sends wrongly, and its end.
import { EngineError } from "../base/errors.ts";
import type { CloseReason } from "../transports/transport.ts";
import { stripAnsi } from "./ansi.ts";

/** An error as it travels over the worker protocol (Nix: `STDERR_ERROR`). */
export interface ErrorReport {
  /** 0 error to 7 vomit; practically always 0. */
  readonly level: number;
  /** As sent, ANSI colours included. */
  readonly message: string;
  /** "while …" lines, innermost first. */
  readonly traces: readonly string[];
}

/**
 * The peer did what it was asked and answered with an error; the connection stays in step and usable. The message names the peer and repeats
 * the peer's words without colours.
 */
export class RemoteError extends EngineError {
  readonly report: ErrorReport;
  /** The peer's words: no colours, no leading `error:`, no trailing blanks. */
  readonly remoteMessage: string;

  constructor(peer: string, report: ErrorReport) {
    const remoteMessage = plainMessage(report.message);
    super("store", "STORE_REMOTE_ERROR", `${peer}: ${remoteMessage}`);
    this.name = "RemoteError";
    this.report = report;
    this.remoteMessage = remoteMessage;
  }
}

/** An error message of Nix as plain words: without colours, `error: ` in front and blanks around. */
export function plainMessage(message: string): string {
  return stripAnsi(message)
    .trim()
    .replace(/^error: */, "");
}

/** Whether the error leaves the connection in step. */
export function isRemoteError(error: unknown): error is RemoteError {
  return error instanceof RemoteError;
}

/** The stream ended or broke while something was expected of it. */
export class ConnectionLostError extends EngineError {
  /** How the transport ended; null where it had not. */
  readonly end: CloseReason | null;

  constructor(message: string, end: CloseReason | null, cause: unknown) {
    super("transport", "PROTOCOL_CONNECTION_LOST", message, cause === undefined ? {} : { cause });
    this.end = end;
  }
}

/** Another connection may do better, unless it was the program at the other end that broke. */
export function connectionLost(
  peer: string,
  detail: string,
  stderrTail: string,
  cause?: unknown,
  end: CloseReason | null = null,
): ConnectionLostError {
  const tail = stripAnsi(stderrTail).trim();
  const said = tail === "" ? "" : `; the remote side said: ${lastLines(tail, 5)}`;
  return new ConnectionLostError(`${peer}: connection lost: ${detail}${said}`, end, cause);
}

/** What was asked cannot be said in the protocol version agreed on. */
export function unsupported(peer: string, what: string, why: string, hint?: string): EngineError {
  return new EngineError(
    "protocol",
    "PROTOCOL_UNSUPPORTED",
    `${peer}: ${what} is not supported: ${why}`,
    hint === undefined ? {} : { hint },
  );
}

/** The last `count` lines of a text. */
export function lastLines(text: string, count: number): string {
  return text.split("\n").slice(-count).join("\n");
}
