// The errors a peer can cause: errors it reports, malformed data it sends, and its end.
import { EngineError } from "../base/errors.ts";
import type { CloseReason } from "../transports/transport.ts";
import { stripAnsi } from "./ansi.ts";

/** An error as sent over the worker protocol (Nix: `STDERR_ERROR`). */
export interface ErrorReport {
  /** 0 error to 7 vomit; practically always 0. */
  readonly level: number;
  /** As sent, ANSI colours included. */
  readonly message: string;
  /** "while …" lines, innermost first. */
  readonly traces: readonly string[];
}

/**
 * The peer answered a request with an error; the connection stays in step and usable. The message names the peer and repeats
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

/** A Nix error message as plain text: without colours, leading `error: ` and surrounding blanks. */
export function plainMessage(message: string): string {
  return stripAnsi(message)
    .trim()
    .replace(/^error: */, "");
}

/** Whether the error leaves the connection in step. */
export function isRemoteError(error: unknown): error is RemoteError {
  return error instanceof RemoteError;
}

/** The stream ended or broke while something was expected from it. */
export class ConnectionLostError extends EngineError {
  /** How the transport ended; null if it had not. */
  readonly end: CloseReason | null;

  constructor(message: string, end: CloseReason | null, cause: unknown) {
    super("transport", "PROTOCOL_CONNECTION_LOST", message, cause === undefined ? {} : { cause });
    this.end = end;
  }
}

/** A new connection may succeed, unless the program at the other end failed. */
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

/** The agreed protocol version cannot express the request. */
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
