// A link through OpenSSH's own program, for what only it can do: one master connection of our own, and one client of it per channel.
//
// The user's own ControlMaster is never used: it may be gone at any time, and its MaxSessions is shared with others.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import { abortable } from "../opener.ts";
import { StreamTransport } from "../stream-transport.ts";
import type { CloseReason } from "../transport.ts";
import { linkLost } from "./ssh-errors.ts";
import type { SshChannel, SshLink } from "./ssh-link.ts";
import { masterFailure } from "./ssh-program-errors.ts";

/** Everything the program needs. */
export interface SshProgramOptions {
  /** The machine as the user named it. */
  readonly name: string;
  /** Why it is used, in words. */
  readonly reason: string;
  /** `ssh`, or a path. */
  readonly program: string;
  /** Flags for user and host, with the destination last: the ones `ssh -G` got. */
  readonly words: readonly string[];
  /** Lines of the only trusted host keys (`ssh-ed25519 AAAA…`); empty: known_hosts decides. */
  readonly pinned: readonly string[];
  readonly compress: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
  /** Aborted when the login takes too long or is no longer needed; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** The name that a pinned key is listed under, for every machine. */
const PINNED_ALIAS = "pinned";
/** Time between two checks for what the program writes to disk (ms). */
const LOOK_MS = 10;
/** How long to wait for the master's end when a channel has ended as if the master were gone (ms). */
const LAST_WORD_MS = 500;
/** How much of the master's standard error is kept. */
const MAX_SAID = 16 * 1024;

/**
 * The master ends with this program, even when that is killed: its death closes the pipe that a helper of the shell reads. The directory is removed,
 * and the master's status is passed on. The shell itself prints nothing: it would report its child's end to a pipe without a reader, and die of it.
 */
const WATCHED =
  'directory=$1; shift; exec 3<&0; "$@" </dev/null 3<&- & child=$!; exec 2>/dev/null; (read -r _ <&3; kill "$child") & watcher=$!; wait "$child"; status=$?; kill "$watcher"; rm -rf "$directory"; exit "$status"';

/** Logs in by the ssh program. Throws EngineErrors of the SSH_ family. */
export async function sshProgramLogin(options: SshProgramOptions): Promise<SshLink> {
  const link = new SshProgramLink(options);
  try {
    await abortable(link.ready, options.signal, () => undefined);
    return link;
  } catch (error) {
    link.close();
    throw error;
  }
}

class SshProgramLink implements SshLink {
  readonly ready: Promise<void>;
  readonly closed: Promise<Error>;
  /** Unknown: the bytes pass through the ssh program, which watches the connection itself. */
  readonly received = null;
  readonly via: string;
  readonly #options: SshProgramOptions;
  readonly #directory: string;
  readonly #socket: string;
  readonly #master: ChildProcess;
  readonly #transports = new Set<StreamTransport>();
  #said = "";
  #phase: "login" | "up" | "gone" = "login";
  #channels = 0;
  #resolveClosed: (reason: Error) => void = () => undefined;

  constructor(options: SshProgramOptions) {
    this.#options = options;
    this.via = options.reason;
    // Not below TMPDIR, which may be too long for a socket's name.
    this.#directory = mkdtempSync(join(existsSync("/tmp") ? "/tmp" : tmpdir(), "tsbt-ssh-"));
    this.#socket = join(this.#directory, "m");
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#master = spawn("/bin/sh", ["-c", WATCHED, "sh", this.#directory, options.program, ...this.#masterWords()], {
      detached: true,
      env: { ...options.environment },
      stdio: ["pipe", "ignore", "pipe"],
    });
    this.#master.stdin?.on("error", () => undefined);
    this.#master.stderr?.on("data", (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString("utf8")).slice(-MAX_SAID);
    });
    this.ready = this.#login();
  }

  get isOpen(): boolean {
    return this.#phase === "up";
  }

  async exec(command: string): Promise<SshChannel> {
    if (this.#phase !== "up") throw linkLost(this.#options.name, "closed here");
    const log = join(this.#directory, `${this.#channels++}.log`);
    writeFileSync(log, "", { mode: 0o600 });
    const { program, environment, words } = this.#options;
    const host = words.at(-1) ?? "";
    // If the master refuses, the client would log in on its own.
    const flags = ["-F", "none", "-S", this.#socket, "-T", "-v", "-E", log, "-o", "ProxyCommand=false"];
    const child = spawn(program, [...flags, "--", host, command], { env: { ...environment }, stdio: "pipe" });
    const { stdin, stdout, stderr } = child;
    // Once a child has exited, Node keeps reading and drops output that nobody has listened for yet.
    stdout.on("readable", () => undefined);
    const transport = new StreamTransport({
      name: `'${this.#options.name}'`,
      input: stdout,
      output: stdin,
      stderr,
      drop: () => {
        stdin.destroy();
        stdout.destroy();
        child.kill("SIGTERM");
      },
    });
    stdin.on("error", () => undefined);
    const released = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        transport.fail(error);
        resolve();
      });
      // `close` comes after all its output has been read.
      child.once("close", (exitCode, signal) => {
        void this.#endOf(exitCode, signal).then((reason) => {
          this.#transports.delete(transport);
          transport.settle(reason);
          resolve();
        });
      });
    });
    this.#transports.add(transport);
    try {
      await this.#opened(log, transport);
    } finally {
      rmSync(log, { force: true });
    }
    return { transport, released };
  }

  async openSocket(path: string): Promise<SshChannel> {
    throw new EngineError(
      "transport",
      "SSH_EXEC_REFUSED",
      `cannot connect to the socket '${path}' on '${this.#options.name}': it is reached through the ssh program`,
    );
  }

  async openTcp(host: string, port: number): Promise<Duplex> {
    throw new EngineError(
      "transport",
      "SSH_JUMP_REFUSED",
      `the jump host '${this.#options.name}' is reached through the ssh program, which leads to no ${host}:${port}`,
    );
  }

  close(): void {
    for (const transport of this.#transports) transport.close();
    this.#end(linkLost(this.#options.name, "closed here"));
  }

  #masterWords(): string[] {
    const { words, pinned, compress, keepAliveIntervalMs, keepAliveCount } = this.#options;
    const seconds = String(Math.max(1, Math.round(keepAliveIntervalMs / 1000)));
    const set = (...pairs: readonly string[]): string[] => pairs.flatMap((pair) => ["-o", pair]);
    const ours = set(
      "ControlMaster=yes",
      "ControlPersist=no",
      "BatchMode=yes",
      "ClearAllForwardings=yes",
      "ForwardAgent=no",
      "ForwardX11=no",
      "PermitLocalCommand=no",
      "RemoteCommand=none",
      "LogLevel=INFO",
      `ServerAliveInterval=${seconds}`,
      `ServerAliveCountMax=${keepAliveCount}`,
    );
    if (pinned.length > 0) {
      const file = join(this.#directory, "pinned");
      writeFileSync(file, pinned.map((key) => `${PINNED_ALIAS} ${key}\n`).join(""), { mode: 0o600 });
      ours.push(...set(`UserKnownHostsFile=${file}`, "GlobalKnownHostsFile=none", `HostKeyAlias=${PINNED_ALIAS}`));
      ours.push(...set("StrictHostKeyChecking=yes", "KnownHostsCommand=none"));
    }
    return ["-S", this.#socket, "-N", "-T", ...(compress ? ["-C"] : []), ...ours, ...words];
  }

  async #login(): Promise<void> {
    const ended = new Promise<EngineError>((resolve) => {
      this.#master.once("error", (error) => resolve(masterFailure(this.#options.name, error.message)));
      this.#master.once("close", () => resolve(masterFailure(this.#options.name, this.#said)));
    });
    void ended.then((failure) => {
      const wasUp = this.#phase === "up";
      this.#end(wasUp ? linkLost(this.#options.name, lastLine(this.#said) || "closed by the other side") : failure);
    });
    // The master creates its socket after the login.
    while (!existsSync(this.#socket)) {
      const failure = await Promise.race([ended, this.#pause()]);
      if (failure !== null) throw failure;
      if (this.#phase === "gone") throw linkLost(this.#options.name, "closed here");
    }
    this.#phase = "up";
  }

  /** Resolves when the master has opened the session. */
  async #opened(log: string, transport: StreamTransport): Promise<void> {
    let over = false;
    void transport.closed.then(() => {
      over = true;
    });
    for (;;) {
      const said = readFileSync(log, { encoding: "utf8" }).slice(-MAX_SAID);
      if (/master session id: \d+/.test(said)) return;
      const refusal = /session request failed: (.*)/.exec(said)?.[1];
      if (refusal !== undefined) {
        transport.close();
        throw new EngineError(
          "transport",
          "SSH_CHANNEL_REFUSED",
          `'${this.#options.name}' refused another session: ${refusal.trim()}`,
        );
      }
      if (over || this.#phase !== "up")
        throw linkLost(this.#options.name, lastLine(this.#said) || "its session did not begin");
      await this.#pause();
    }
  }

  #pause(): Promise<null> {
    return new Promise((resolve) => {
      this.#options.clock.after(LOOK_MS, () => resolve(null));
    });
  }

  async #endOf(exitCode: number | null, signal: NodeJS.Signals | null): Promise<CloseReason> {
    if (exitCode === 255) {
      // 255 is the client's status for a lost connection, which the master may report a moment later; a remote program may exit with it, too.
      let patience: () => void = () => undefined;
      const waited = new Promise<null>((resolve) => {
        patience = this.#options.clock.after(LAST_WORD_MS, () => resolve(null));
      });
      const error = await Promise.race([this.closed, waited]);
      patience();
      if (error !== null) return { type: "failed", error };
    }
    return { type: "closedThere", exitCode, signal };
  }

  #end(reason: Error): void {
    if (this.#phase === "gone") return;
    this.#phase = "gone";
    for (const transport of this.#transports) transport.fail(reason);
    const { pid } = this.#master;
    try {
      if (pid !== undefined && this.#master.exitCode === null) process.kill(-pid, "SIGTERM");
    } catch {
      // The group has already ended.
    }
    rmSync(this.#directory, { recursive: true, force: true });
    this.#resolveClosed(reason);
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
