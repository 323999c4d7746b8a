// One SSH connection as the rest of the program sees it: a login that carries channels.
import type { Duplex } from "node:stream";
import type { Transport } from "../transport.ts";

/** A channel and the moment its place on the connection is free again. */
export interface SshChannel {
  readonly transport: Transport;
  /** Resolves when the server has confirmed the end of the channel, or the connection is gone. */
  readonly released: Promise<void>;
}

/** A logged-in connection. Its failures are EngineErrors whose messages name the machine. */
export interface SshLink {
  /** Starts a command. Throws SSH_CHANNEL_REFUSED (MaxSessions), SSH_EXEC_REFUSED or SSH_LINK_LOST. */
  exec(command: string): Promise<SshChannel>;
  /** Connects to a unix socket on the other side, without any shell (OpenSSH's direct-streamlocal). Throws like `exec`. */
  openSocket(path: string): Promise<SshChannel>;
  /** Connects to a TCP port as seen from the other side (ProxyJump). Throws SSH_JUMP_REFUSED or SSH_LINK_LOST. */
  openTcp(host: string, port: number): Promise<Duplex>;
  /** Drops the connection and every channel on it at once. */
  close(): void;
  /** Settles when the connection is gone, with the reason. Never rejects. */
  readonly closed: Promise<Error>;
  readonly isOpen: boolean;
  /** Bytes that have come over it; null where that is not known. */
  readonly received: number | null;
  /** Why it goes through the ssh program, in words; null: it does not. */
  readonly via: string | null;
}
