// One SSH connection as the rest of the program sees it: a login that carries channels.
import type { Duplex } from "node:stream";
import type { Transport } from "../transport.ts";

/** A channel, and when its place on the connection is free again. */
export interface SshChannel {
  readonly transport: Transport;
  /** Resolves when the server has confirmed the end of the channel, or the connection has ended. */
  readonly released: Promise<void>;
}

/** A logged-in connection. Its failures are EngineErrors whose messages name the machine. */
export interface SshLink {
  /** Starts a command. Throws SSH_CHANNEL_REFUSED (MaxSessions), SSH_EXEC_REFUSED or SSH_LINK_LOST. */
  exec(command: string): Promise<SshChannel>;
  /** Connects to a unix socket on the remote machine, without any shell (OpenSSH's direct-streamlocal). Throws like `exec`. */
  openSocket(path: string): Promise<SshChannel>;
  /** Connects to a TCP port as seen from the remote machine (ProxyJump). Throws SSH_JUMP_REFUSED or SSH_LINK_LOST. */
  openTcp(host: string, port: number): Promise<Duplex>;
  /** Drops the connection and every channel on it at once. */
  close(): void;
  /** Settles with the reason when the connection has ended. Never rejects. */
  readonly closed: Promise<Error>;
  readonly isOpen: boolean;
  /** Bytes received over it; null when unknown. */
  readonly received: number | null;
  /** Why it uses the ssh program, in words; null: it does not. */
  readonly via: string | null;
}
