// A small SSH server for one client on loopback: it accepts one key and runs only the function it is given.
import { createHash, timingSafeEqual } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import ssh2, { type Connection, type ServerChannel } from "ssh2";
import { StreamTransport } from "../stream-transport.ts";
import type { Transport } from "../transport.ts";
import { readyCipherKeys } from "./keys/ssh-cipher-keys.ts";

/** One command from a client. */
export interface SshCommand {
  readonly command: string;
  /** The client's end; closing it ends the command. */
  readonly transport: Transport;
  /** Writes to the client's standard error. */
  complain(text: string): void;
  /** Ends the command with an exit status. */
  exit(status: number): void;
}

export interface SshServerOptions {
  /** Private key of the host. */
  readonly hostKey: string;
  /** Public key of the only client, as a line of authorized_keys. */
  readonly clientKey: string;
  /** Runs a command; refuses one that it cannot run by an exit status. Must not throw. */
  readonly onCommand: (command: SshCommand) => void;
}

/** A listening server. */
export interface SshServer {
  readonly port: number;
  /** Ends the listener and every connection. */
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. Rejects with the system's error when that is not possible. */
export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const clientKey = ssh2.utils.parseKey(options.clientKey);
  if (clientKey instanceof Error) throw clientKey;
  const allowed = digest(clientKey.getPublicSSH());
  const connections = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [options.hostKey] }, (connection) => {
    connections.add(connection);
    connection.on("handshake", () => readyCipherKeys(connection));
    connection.on("error", () => undefined).on("close", () => connections.delete(connection));
    connection.on("authentication", (attempt) => {
      const isKey = attempt.method === "publickey" && timingSafeEqual(digest(attempt.key.data), allowed);
      // Without a signature the client only asks whether the key would be accepted.
      if (
        isKey &&
        (attempt.signature === undefined ||
          clientKey.verify(attempt.blob ?? Buffer.alloc(0), attempt.signature) === true)
      ) {
        attempt.accept();
      } else attempt.reject(["publickey"]);
    });
    connection.on("session", (accept) => {
      accept().on("exec", (acceptCommand, _reject, { command }) =>
        options.onCommand(commandOf(command, acceptCommand())),
      );
    });
  });
  // Small answers must not wait for acknowledgements: that would take half of each exchange.
  const listener = createServer({ noDelay: true }, (socket) => server.injectSocket(socket));
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (listener.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const connection of connections) connection.end();
      }),
  };
}

function commandOf(command: string, channel: ServerChannel): SshCommand {
  const transport = new StreamTransport({
    name: "client",
    input: channel,
    output: channel,
    stderr: null,
    drop: () => channel.close(),
  });
  const gone = (): void => transport.settle({ type: "closedThere", exitCode: null, signal: null });
  channel.once("close", gone).once("end", gone).on("error", gone);
  return {
    command,
    transport,
    complain: (text) => void channel.stderr.write(text),
    exit: (status) => {
      transport.settle({ type: "closedHere" });
      channel.exit(status);
      channel.close();
    },
  };
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
