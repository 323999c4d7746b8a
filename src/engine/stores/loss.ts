// How a connection was lost during a build: the link broke, or only the program at the other end failed.
import { EngineError } from "../base/errors.ts";
import { ConnectionLostError } from "../protocols/remote-error.ts";

/**
 * Null when the error is not a lost connection. SSH reports how a program ended; the daemon of this machine (`isHere`) serves each connection in
 * a separate process, of which only the end is visible.
 */
export function lossOf(error: unknown, isHere: boolean): "connection" | "crash" | null {
  if (!(error instanceof EngineError) || (error.family !== "transport" && error.family !== "protocol")) return null;
  if (!(error instanceof ConnectionLostError) || error.end?.type !== "closedThere") return "connection";
  return isHere || error.end.signal !== null || error.end.exitCode !== null ? "crash" : "connection";
}
