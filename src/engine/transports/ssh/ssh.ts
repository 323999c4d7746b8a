// Logs in over a connected stream and opens channels: the one file that knows the SSH library.
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import ssh2, {
  type AnyAuthMethod,
  type ClientChannel,
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from "ssh2";
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import { StreamTransport } from "../stream-transport.ts";
import type { HostKeyAnswer } from "./keys/host-key-check.ts";
import type { Identity, IdentityChoice } from "./keys/identities.ts";
import type { SshAlgorithms } from "./keys/ssh-algorithms.ts";
import { readyCipherKeys } from "./keys/ssh-cipher-keys.ts";
import { watchLiveness } from "./liveness.ts";
import { cannotConnect, connectFailure, linkLost, loginRejected } from "./ssh-errors.ts";
import type { SshChannel, SshLink } from "./ssh-link.ts";

/** Unread bytes of one channel at which the peer has clearly ignored its window (2 MiB, renewed when half used). */
const MAX_UNREAD = 16 * 1024 * 1024;

/** Everything a login needs; how to open the stream and what the files mean is decided elsewhere. */
export interface SshLoginOptions {
  /** The machine as the user named it. */
  readonly name: string;
  /** The actual `host:port` of the connection, for messages. */
  readonly where: string;
  readonly user: string;
  /** Connected to the server; belongs to the link from now on. */
  readonly stream: Duplex;
  readonly login: IdentityChoice;
  readonly algorithms: SshAlgorithms;
  readonly checkHostKey: (key: Buffer) => HostKeyAnswer;
  readonly onWarning: (message: string) => void;
  readonly clock: Clock;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
  /** Aborted when the login takes too long or is no longer needed; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** Performs the handshake and logs in. Throws EngineErrors of the SSH_ family. */
export async function sshLogin(options: SshLoginOptions): Promise<SshLink> {
  const link = new Ssh2Link(options);
  await link.ready;
  return link;
}

class Ssh2Link implements SshLink {
  readonly ready: Promise<void>;
  readonly closed: Promise<Error>;
  readonly #options: SshLoginOptions;
  readonly #client = new ssh2.Client();
  readonly #transports = new Map<StreamTransport, ClientChannel>();
  readonly #identities: Identity[];
  readonly #tried: string[] = [];
  #phase: "login" | "up" | "gone" = "login";
  #failure: EngineError | null = null;
  #resolveClosed: (reason: Error) => void = () => undefined;
  #rejectReady: (error: Error) => void = () => undefined;
  #cancelWatch: () => void = () => undefined;
  #bytesIn = 0;

  constructor(options: SshLoginOptions) {
    this.#options = options;
    this.#identities = [...options.login.identities];
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.ready = new Promise((resolve, reject) => {
      this.#rejectReady = reject;
      this.#client.once("ready", () => {
        this.#phase = "up";
        this.#watch();
        resolve();
      });
    });
    this.#client.on("handshake", () => readyCipherKeys(this.#client));
    this.#client.on("error", (error) => this.#onError(error));
    this.#client.on("close", () => this.#lose("closed by the other side", null));
    this.#connect();
  }

  readonly via = null;

  get received(): number {
    return this.#bytesIn;
  }

  get isOpen(): boolean {
    return this.#phase === "up";
  }

  exec(command: string): Promise<SshChannel> {
    return this.#openChannel((done) => this.#client.exec(command, done)).then((channel) => this.#asTransport(channel));
  }

  openSocket(path: string): Promise<SshChannel> {
    return this.#openChannel((done) => this.#client.openssh_forwardOutStreamLocal(path, done)).then((channel) =>
      this.#asTransport(channel),
    );
  }

  async openTcp(host: string, port: number): Promise<Duplex> {
    try {
      return await this.#openChannel((done) => this.#client.forwardOut("127.0.0.1", 0, host, port, done));
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "SSH_CHANNEL_REFUSED") throw error;
      const said = messageOf(error.cause).replace(/^\(SSH\) Channel open failure: /, "");
      throw new EngineError(
        "transport",
        "SSH_JUMP_REFUSED",
        `the jump host '${this.#options.name}' could not reach ${host}:${port}: ${said}`,
        {
          hint: "is the machine up, and does the jump host allow forwarding (AllowTcpForwarding)?",
          cause: error.cause,
        },
      );
    }
  }

  close(): void {
    for (const transport of this.#transports.keys()) transport.close();
    this.#end(linkLost(this.#options.name, "closed here"));
  }

  #connect(): void {
    const { stream, signal, algorithms, user } = this.#options;
    if (stream instanceof Socket) stream.setNoDelay(true);
    if (stream instanceof Socket) sendTogether(stream);
    signal.addEventListener("abort", () => this.#phase === "login" && this.#end(signal.reason), { once: true });
    if (signal.aborted) {
      this.#end(signal.reason);
      return;
    }
    try {
      this.#client.connect({
        sock: stream,
        username: user,
        // Time-outs are ours: the library's would also end a link that is merely busy.
        readyTimeout: 0,
        keepaliveInterval: this.#options.keepAliveIntervalMs,
        keepaliveCountMax: Number.MAX_SAFE_INTEGER,
        algorithms: {
          cipher: [...algorithms.cipher],
          hmac: [...algorithms.hmac],
          kex: [...algorithms.kex],
          serverHostKey: [...algorithms.serverHostKey],
          compress: [...algorithms.compress],
        },
        hostVerifier: (key: Buffer) => this.#verify(key),
        authHandler: (methods, _partial, next) => {
          const left = methods as readonly string[] | null;
          // The library accepts `false` for "no more", which its types omit.
          (next as (method: AnyAuthMethod | false) => void)(this.#nextMethod(left) ?? false);
        },
      });
      stream.on("data", (chunk: Buffer) => {
        this.#bytesIn += chunk.length;
        this.#refuseFlood();
      });
    } catch (error) {
      this.#end(connectFailure(this.#options.name, this.#options.where, error));
    }
  }

  #verify(key: Buffer): boolean {
    const answer = this.#options.checkHostKey(key);
    switch (answer.type) {
      case "believed":
        return true;
      case "believedUnchecked":
      case "believedNew":
        if (this.#phase === "login") this.#options.onWarning(answer.warning);
        return true;
      case "refused":
        this.#failure = answer.error;
        return false;
    }
  }

  /** The next way to log in; after the last key `none`, which some networks (Tailscale) accept from a client they already know. */
  #nextMethod(left: readonly string[] | null): AnyAuthMethod | null {
    const username = this.#options.user;
    const mayTryKeys = left === null || left.includes("publickey");
    const identity = mayTryKeys ? this.#identities.shift() : undefined;
    if (identity === undefined) {
      if (this.#tried.at(-1) === "none") {
        const { name, where, user, login } = this.#options;
        const tried = this.#tried.filter((way) => way !== "none");
        this.#failure = loginRejected({ name, where, user, tried, accepted: left, problems: login.problems });
        return null;
      }
      this.#tried.push("none");
      return { type: "none", username };
    }
    switch (identity.type) {
      case "file":
        this.#tried.push(identity.path);
        return { type: "publickey", username, key: identity.privateKey };
      case "agent":
        this.#tried.push("the agent's keys");
        return { type: "agent", username, agent: new ChosenKeysAgent(identity) };
    }
  }

  #onError(error: Error & { readonly level?: string }): void {
    // The library skips an agent that does not answer or a key that cannot sign, and tries the next way.
    if (error.level === "agent" || /^Error (?:while )?signing/.test(error.message)) return;
    const { name, where } = this.#options;
    this.#end(
      this.#failure ??
        (this.#phase === "login" ? connectFailure(name, where, error) : linkLost(name, error.message, error)),
    );
  }

  #lose(reason: string, cause: unknown): void {
    const { name, where } = this.#options;
    const early = (): EngineError => connectFailure(name, where, new Error("Connection lost before handshake"));
    this.#end(this.#failure ?? (this.#phase === "login" ? early() : linkLost(name, reason, cause)));
  }

  #end(reason: Error): void {
    if (this.#phase === "gone") return;
    this.#phase = "gone";
    this.#cancelWatch();
    for (const transport of this.#transports.keys()) transport.fail(reason);
    this.#transports.clear();
    this.#rejectReady(reason);
    this.#resolveClosed(reason);
    this.#client.destroy();
    this.#options.stream.destroy();
  }

  #openChannel(
    request: (done: (error: Error | undefined, channel: ClientChannel) => void) => void,
  ): Promise<ClientChannel> {
    return new Promise<ClientChannel>((resolve, reject) => {
      const { name } = this.#options;
      // The library forgets a request whose link is lost meanwhile, which would leave it unanswered.
      void this.closed.then(reject);
      if (this.#phase !== "up") return;
      try {
        request((error, channel) => {
          if (error === undefined || error === null) {
            resolve(channel);
            return;
          }
          if (this.#phase !== "up" || /No response from server/.test(error.message)) {
            void this.closed.then(reject);
            return;
          }
          const isOpenFailure = /Channel open failure/.test(error.message);
          reject(
            new EngineError(
              "transport",
              isOpenFailure ? "SSH_CHANNEL_REFUSED" : "SSH_EXEC_REFUSED",
              `${cannotConnect(name)}: the server refused ${isOpenFailure ? "another channel" : "to run the command"}: ${error.message}`,
              { hint: "see MaxSessions, ForceCommand and AllowStreamLocalForwarding in its sshd_config", cause: error },
            ),
          );
        });
      } catch (error) {
        this.#lose(messageOf(error), error);
        void this.closed.then(reject);
      }
    });
  }

  #asTransport(channel: ClientChannel): SshChannel {
    const transport = new StreamTransport({
      name: `'${this.#options.name}'`,
      input: channel,
      output: channel,
      stderr: channel.stderr,
      drop: () => {
        channel.close();
        // Discard the remaining data, so that the end is seen.
        channel.removeAllListeners("readable");
        channel.resume();
      },
    });
    this.#transports.set(transport, channel);
    const released = Promise.withResolvers<void>();
    let exit: { code: number | null; signal: string | null } = { code: null, signal: null };
    channel.on("exit", (code: number | null, signal?: string) => {
      exit = { code, signal: signal ?? null };
    });
    // The library emits `close` on the channel only after everything was read; its side channel is always read, so its `close` is prompt.
    channel.stderr.once("close", () => {
      transport.settle({ type: "closedThere", exitCode: exit.code, signal: exit.signal });
      this.#transports.delete(transport);
      released.resolve();
    });
    void this.closed.then(() => released.resolve());
    return { transport, released: released.promise };
  }

  #watch(): void {
    const { clock, stream, keepAliveIntervalMs, keepAliveCount } = this.#options;
    this.#cancelWatch = watchLiveness({
      clock,
      intervalMs: keepAliveIntervalMs,
      count: keepAliveCount,
      signs: () => ({
        received: this.#bytesIn,
        // A stream that does not count its bytes shows progress by the length of its backlog.
        sent: (stream instanceof Socket ? stream.bytesWritten : 0) - stream.writableLength,
        backlog: stream.writableLength,
      }),
      onSilence: (silentMs) => this.#lose(`no sign of life for ${Math.round(silentMs / 100) / 10} s`, null),
    });
  }

  /** The library does not hold a server to its window, so a hostile one could fill the memory. */
  #refuseFlood(): void {
    for (const channel of this.#transports.values()) {
      if (channel.readableLength > MAX_UNREAD) {
        this.#lose(`it sent more than its window allows (${channel.readableLength} bytes unread)`, null);
        return;
      }
    }
  }
}

/** The user's agent, offering only some of its keys. */
class ChosenKeysAgent extends ssh2.BaseAgent {
  readonly #agent: ssh2.OpenSSHAgent;
  readonly #identity: Extract<Identity, { type: "agent" }>;

  constructor(identity: Extract<Identity, { type: "agent" }>) {
    super();
    this.#identity = identity;
    this.#agent = new ssh2.OpenSSHAgent(identity.socket);
  }

  override getIdentities(callback: IdentityCallback): void {
    const { only, except } = this.#identity;
    this.#agent.getIdentities((error, keys) => {
      if (error !== undefined && error !== null) {
        callback(error);
        return;
      }
      // The library's agent client returns parsed keys, which its types only partly describe.
      const offered = ((keys ?? []) as ParsedKey[]).filter((key) => {
        const blob = key.getPublicSSH();
        return (only === null || only.some((one) => one.equals(blob))) && !except.some((one) => one.equals(blob));
      });
      callback(undefined, offered);
    });
  }

  override sign(
    key: ParsedKey | Buffer | string,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    if (typeof options === "function") this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, callback);
  }
}

/** Sends everything written in one turn of the event loop in one system call: ssh2 writes each packet separately, in pieces. */
function sendTogether(socket: Socket): void {
  const write = socket.write;
  let corked = false;
  socket.write = function (this: Socket, ...args: Parameters<typeof write>) {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(() => {
        corked = false;
        socket.uncork();
      });
    }
    return write.apply(socket, args);
  } as typeof write;
}
