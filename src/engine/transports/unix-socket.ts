// A transport over a unix socket: how to reach the Nix daemon of this machine.
import { connect } from "node:net";
import { EngineError } from "../base/errors.ts";
import { abortable, makeOpener } from "./opener.ts";
import { StreamTransport } from "./stream-transport.ts";
import type { Transport, TransportOpener } from "./transport.ts";

/** An opener of connections to the socket at `path`. */
export function unixSocketOpener(path: string): TransportOpener {
  return makeOpener({ name: `unix://${path}`, openOne: (signal) => openUnixSocket(path, signal) });
}

/**
 * Connects to a unix socket. Closing the transport destroys the socket at once: a Nix daemon does not notice one that is only half-closed.
 * Throws UNIX_SOCKET_NOT_FOUND, UNIX_SOCKET_REFUSED, UNIX_SOCKET_DENIED or UNIX_SOCKET_FAILED, in Nix's words.
 */
export function openUnixSocket(path: string, signal: AbortSignal): Promise<Transport> {
  const socket = connect({ path });
  const opening = new Promise<Transport>((resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) => reject(connectError(path, error)));
    socket.once("connect", () => {
      const transport = new StreamTransport({
        name: `socket at '${path}'`,
        input: socket,
        output: socket,
        stderr: null,
        drop: () => socket.destroy(),
      });
      let failure: NodeJS.ErrnoException | null = null;
      socket.on("error", (error: NodeJS.ErrnoException) => {
        failure = error;
      });
      socket.once("close", () => {
        // A peer that disappears while we write shows as EPIPE or ECONNRESET: it closed, nothing broke.
        if (failure === null || failure.code === "EPIPE" || failure.code === "ECONNRESET") {
          transport.settle({ type: "closedThere", exitCode: null, signal: null });
          return;
        }
        transport.settle({
          type: "failed",
          error: new EngineError(
            "transport",
            "UNIX_SOCKET_FAILED",
            `connection to socket at '${path}' was lost: ${failure.message}`,
            {
              cause: failure,
            },
          ),
        });
      });
      resolve(transport);
    });
  });
  signal.addEventListener("abort", () => socket.connecting && socket.destroy(), { once: true });
  return abortable(opening, signal, (late) => late.close());
}

function connectError(path: string, error: NodeJS.ErrnoException): EngineError {
  const start = `cannot connect to socket at '${path}'`;
  switch (error.code) {
    case "ENOENT":
      return new EngineError("transport", "UNIX_SOCKET_NOT_FOUND", `${start}: No such file or directory`, {
        hint: "is the Nix daemon installed and running? Without one, a private store needs no daemon: --store ~/my-nix",
        cause: error,
      });
    case "ECONNREFUSED":
      return new EngineError("transport", "UNIX_SOCKET_REFUSED", `${start}: Connection refused`, {
        hint: "nothing listens there; start the Nix daemon (systemctl start nix-daemon.socket)",
        cause: error,
      });
    case "EACCES":
    case "EPERM":
      return new EngineError("transport", "UNIX_SOCKET_DENIED", `${start}: Permission denied`, {
        hint: "this user may not use the Nix daemon; see allowed-users in its nix.conf and the permissions of the socket's directory",
        cause: error,
      });
    default:
      return new EngineError("transport", "UNIX_SOCKET_FAILED", `${start}: ${error.message}`, { cause: error });
  }
}
