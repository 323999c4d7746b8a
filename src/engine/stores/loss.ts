// What became of a connection that failed while a build used it: the link went, or only the program at the other end.
import { EngineError } from "../base/errors.ts";
import { ConnectionLostError } from "../protocols/remote-error.ts";

/**
 * Null when the error is no loss of a connection. SSH says how a program ended; the daemon of this machine (`isHere`) serves each connection by a
 * process of its own, of which only the end is seen.
 */
export function lossOf(error: unknown, isHere: boolean): "connection" | "crash" | null {
  if (!(error instanceof EngineError) || (error.family !== "transport" && error.family !== "protocol")) return null;
  if (!(error instanceof ConnectionLostError) || error.end?.type !== "closedThere") return "connection";
  return isHere || error.end.signal !== null || error.end.exitCode !== null ? "crash" : "connection";
}
