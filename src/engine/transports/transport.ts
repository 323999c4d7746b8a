// A transport: a pair of byte streams to a peer, without any knowledge of the protocol on it.

/** Why a transport ended. */
export type CloseReason =
  | { readonly type: "closedHere" }
  | { readonly type: "closedThere"; readonly exitCode: number | null; readonly signal: string | null }
  | { readonly type: "failed"; readonly error: Error };

/** A pair of byte streams to a peer. Reading and writing are independent of each other. */
export interface Transport {
  /**
   * Bytes from the peer; ends when the peer has closed its side or the transport was closed here, throws the error if it `failed`.
   * Iterated once.
   */
  readonly input: AsyncIterable<Uint8Array>;
  /** Queues bytes for the peer; resolves when more may be written (back-pressure). Rejects once the transport is closed. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Text the peer printed beside the protocol (standard error of the remote program), unchanged and in order; iterated once.
   * Transports without such a channel end at once.
   */
  readonly stderr: AsyncIterable<Uint8Array>;
  /** The last bytes (at most 4 KiB) of that side channel, to show when the connection fails. */
  stderrTail(): string;
  /**
   * Drops the connection at once, whatever is in progress: a Nix server behind it stops its builder (daemon.cc: each connection's process ends
   * with it). Never half-closes. Safe to call again.
   */
  close(): void;
  /** Settles when the transport is gone, with the reason. Never rejects. */
  readonly closed: Promise<CloseReason>;
}

/** Opens a new transport to one fixed place. Throws EngineError of family `transport`. */
export interface TransportOpener {
  /** Its destination, for messages: `ssh-ng://nix@mac`, `unix:///nix/var/nix/daemon-socket/socket`. */
  readonly name: string;
  /** Runs `remote command` (or connects to a socket) and returns a transport to it. */
  open(signal?: AbortSignal): Promise<Transport>;
  /**
   * Bytes received so far over the connections under these transports, keep-alives included: any change is a sign of life from
   * the other side. Null when unknown.
   */
  heard(): number | null;
  /** Ends every transport opened here and everything they share. */
  close(): void;
}
