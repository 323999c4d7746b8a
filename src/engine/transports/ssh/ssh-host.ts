// The shared connections to one SSH host: channels over as few logins as its MaxSessions allows.
import { EngineError } from "../../base/errors.ts";
import { abortable } from "../opener.ts";
import type { Transport } from "../transport.ts";
import type { SshChannel, SshLink } from "./ssh-link.ts";

export interface SshHostOptions {
  /** The machine as the user named it. */
  readonly name: string;
  readonly login: (signal: AbortSignal) => Promise<SshLink>;
  readonly channelsPerConnection: number;
}

interface Connection {
  readonly link: Promise<SshLink>;
  /** The same connection once it is logged in. */
  up: SshLink | null;
  /** Channels open, being opened or not yet confirmed closed. */
  used: number;
  /** Lowered when the server refuses a channel. */
  limit: number;
  gone: boolean;
}

/** Opens channels; each belongs to its caller, the connections under them to this object. */
export class SshHost {
  readonly name: string;
  readonly #options: SshHostOptions;
  readonly #closing = new AbortController();
  #connections: Connection[] = [];
  /** Bytes received over connections that have ended. */
  #heardBefore = 0;

  constructor(options: SshHostOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** SSH connections open or being opened. */
  get connectionCount(): number {
    return this.#connections.length;
  }

  /** Bytes received over all connections so far; null when one does not report it. */
  get heard(): number | null {
    let sum = this.#heardBefore;
    for (const { up } of this.#connections) {
      if (up?.received === null) return null;
      sum += up?.received ?? 0;
    }
    return sum;
  }

  /** Why the ssh program is used; null while no connection is up, or when it is not used. */
  get via(): string | null {
    return this.#connections.find(({ up }) => up !== null)?.up?.via ?? null;
  }

  /** Runs a command line in the account's login shell. Throws EngineErrors that begin `cannot connect to '…'`. */
  open(command: string, signal?: AbortSignal): Promise<Transport> {
    return this.#open((link) => link.exec(command), signal);
  }

  /** Connects to a unix socket on the host, without any shell. Throws like `open`. */
  openSocket(path: string, signal?: AbortSignal): Promise<Transport> {
    return this.#open((link) => link.openSocket(path), signal);
  }

  /** Ends every connection and all its channels. */
  close(): void {
    this.#closing.abort(
      new EngineError("transport", "TRANSPORT_CLOSED", `the connections to '${this.name}' were closed here`),
    );
    for (const connection of this.#connections) {
      connection.link.then(
        (link) => link.close(),
        () => undefined,
      );
    }
    this.#connections = [];
  }

  async #open(request: (link: SshLink) => Promise<SshChannel>, given: AbortSignal | undefined): Promise<Transport> {
    const signal = AbortSignal.any(given === undefined ? [this.#closing.signal] : [given, this.#closing.signal]);
    for (;;) {
      signal.throwIfAborted();
      const connection = this.#connectionWithRoom();
      connection.used++;
      let channel: SshChannel;
      try {
        const link = await abortable(connection.link, signal, () => undefined);
        channel = await abortable(request(link), signal, (late) => late.transport.close());
      } catch (error) {
        connection.used--;
        if (!(error instanceof EngineError) || error.code !== "SSH_CHANNEL_REFUSED") throw error;
        // The server allows fewer channels than expected: as many as are open now. With none open, it allows none.
        if (connection.used === 0) throw error;
        connection.limit = Math.min(connection.limit, connection.used);
        continue;
      }
      void channel.released.then(() => {
        connection.used--;
        // A remote program that outlived its channel may have caused the refusal: try again as channels become free.
        connection.limit = Math.min(connection.limit + 1, this.#options.channelsPerConnection);
      });
      return channel.transport;
    }
  }

  #connectionWithRoom(): Connection {
    const roomy = this.#connections.find((connection) => !connection.gone && connection.used < connection.limit);
    if (roomy !== undefined) return roomy;
    const connection: Connection = {
      link: this.#options.login(this.#closing.signal),
      up: null,
      used: 0,
      limit: this.#options.channelsPerConnection,
      gone: false,
    };
    this.#connections.push(connection);
    const forget = (): void => {
      connection.gone = true;
      this.#heardBefore += connection.up?.received ?? 0;
      this.#connections = this.#connections.filter((other) => other !== connection);
    };
    connection.link.then((link) => {
      connection.up = link;
      return link.closed.then(forget);
    }, forget);
    return connection;
  }
}
