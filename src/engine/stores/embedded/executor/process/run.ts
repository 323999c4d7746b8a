// Runs a builder's process tree: its log, its limits, and its end, including everything it has started.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { finished } from "node:stream/promises";
import type { Clock } from "../../../../base/clock.ts";
import { EngineError, messageOf } from "../../../../base/errors.ts";
import { LOG_DESCRIPTOR } from "../sandbox/sandbox-start.ts";
import { childrenOf, killGroup, killRunning } from "./kill-group.ts";
import type { LogPipe } from "./log-pipe.ts";

/** How long (milliseconds) the log may stay open after the builder has ended: its processes are being killed. */
const LOG_PATIENCE = 2_000;

/** What to run. */
export interface RunRequest {
  readonly program: string;
  readonly args: readonly string[];
  /** Environment of `program` itself, which sets up the builder's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Open files that become the child's descriptors 3, 4, …; closed here once it runs. */
  readonly descriptors: readonly number[];
  /** Descriptors that the child would inherit from the process that started this program; they are hidden from it. */
  readonly strayDescriptors: readonly number[];
  /** The starter's script, the child's standard input; also closed here. Null when the child is the builder itself. */
  readonly start: number | null;
  /** See {@link SandboxCommand}. */
  readonly staysOutside: boolean;
  readonly opensLog: boolean;
  readonly pipe: LogPipe;
  /** Seconds, 0 for none. */
  readonly timeout: number;
  readonly maxSilentTime: number;
  /** Bytes, 0n for none. */
  readonly maxLogSize: bigint;
  /** Receives the output as it comes. */
  readonly output: (bytes: Uint8Array) => void;
  /** Receives the leader of the process group; the returned function is called when that has ended. */
  readonly started: (leader: number) => () => void;
  /** Kills what the process group does not reach; called whenever the builder has ended or must end. */
  readonly killRest: () => void;
}

/** How the builder ended. */
export type RunOutcome =
  | { readonly type: "exited"; readonly code: number }
  | { readonly type: "killed"; readonly signal: NodeJS.Signals }
  | { readonly type: "timedOut" }
  | { readonly type: "silent" }
  | { readonly type: "logTooLong" };

/**
 * Runs the builder to its end. Aborting the signal kills everything at once, and rejects with its reason once it is gone.
 * @throws EngineError `EXECUTOR_CANNOT_START`.
 */
export async function run(request: RunRequest, clock: Clock, signal: AbortSignal): Promise<RunOutcome> {
  const { pipe } = request;
  let child: ChildProcess;
  let writing = true;
  // Until then this process also has the log open for writing, so that the log does not end before the builder has it.
  const stopWriting = (): void => {
    if (writing) closeSync(pipe.descriptor);
    writing = false;
  };
  try {
    signal.throwIfAborted();
    child = start(request);
  } catch (error) {
    stopWriting();
    pipe.input.destroy();
    throw error;
  } finally {
    for (const descriptor of request.descriptors) closeSync(descriptor);
    if (request.start !== null) closeSync(request.start);
  }
  if (!request.opensLog) stopWriting();

  const limits = new Limits(request, clock, () => kill());
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
    request.killRest();
  };
  signal.addEventListener("abort", kill, { once: true });
  const hear = (bytes: Buffer): void => {
    if (limits.heard(bytes.length)) request.output(bytes);
  };
  pipe.input.on("data", (bytes: Buffer) => {
    const mark = writing ? 1 : 0;
    stopWriting();
    if (bytes.length > mark) hear(bytes.subarray(mark));
  });
  for (const words of [child.stdout, child.stderr]) words?.on("data", hear).on("error", () => undefined);
  let exited = false;
  let endedHere = false;
  const logEnded = new Promise<void>((resolve) => {
    pipe.input.once("end", () => {
      // Nobody can write to the log any more, so the builder has ended or is hiding (Nix kills it, too).
      if (exited || request.start === null || child.pid === undefined) return;
      endedHere = killRunning(request.staysOutside ? childrenOf(child.pid) : [child.pid]);
    });
    pipe.input.once("close", () => resolve());
    pipe.input.once("error", () => resolve());
  });
  const spoken = Promise.all(
    [child.stdout, child.stderr].map(
      (words) => words === null || finished(words, { writable: false }).catch(() => undefined),
    ),
  );
  let ended = (): void => undefined;
  try {
    const outcome = await new Promise<RunOutcome>((resolve, reject) => {
      if (child.pid !== undefined) ended = request.started(child.pid);
      child.once("error", (cause) => {
        stopWriting();
        pipe.input.destroy();
        reject(
          new EngineError("build", "EXECUTOR_CANNOT_START", `cannot run '${request.program}': ${messageOf(cause)}`, {
            cause,
          }),
        );
      });
      child.once("exit", (code, killedBy) => {
        exited = true;
        stopWriting();
        if (killedBy !== null) resolve({ type: "killed", signal: killedBy });
        // A sandbox program outside cannot report the signal: bubblewrap then exits with 137, unshare with 1.
        else if (endedHere && code !== 0) resolve({ type: "killed", signal: "SIGKILL" });
        else resolve({ type: "exited", code: code ?? 0 });
      });
    });
    // The group's number is free again, so from now on only other means of killing are safe.
    request.killRest();
    const tired = clock.after(LOG_PATIENCE, () => {
      pipe.input.destroy();
      child.stdout?.destroy();
      child.stderr?.destroy();
    });
    await logEnded;
    await spoken;
    tired();
    if (pipe.input.readableEnded) pipe.reuse();
    signal.throwIfAborted();
    return limits.exceeded ?? outcome;
  } finally {
    ended();
    limits.stop();
    signal.removeEventListener("abort", kill);
  }
}

/** Starts the child with exactly its intended descriptors. */
function start(request: RunRequest): ChildProcess {
  const { pipe } = request;
  const nothing = openSync("/dev/null", "r+");
  try {
    const stdio: ("ignore" | "pipe" | number)[] =
      request.start === null
        ? ["ignore", pipe.descriptor, pipe.descriptor, ...request.descriptors]
        : // Messages of the sandbox programs are kept apart from the log, which only the builder may hold open.
          [request.start, "pipe", "pipe", ...request.descriptors];
    if (request.start !== null) {
      while (stdio.length < LOG_DESCRIPTOR) stdio.push("ignore");
      stdio.push(request.opensLog ? nothing : pipe.descriptor, nothing);
    }
    for (const stray of request.strayDescriptors) {
      while (stdio.length <= stray) stdio.push("ignore");
      if (stdio[stray] === "ignore") stdio[stray] = nothing;
    }
    return spawn(request.program, request.args, {
      stdio,
      env: { ...request.environment },
      cwd: "/",
      // A separate process group, so that a terminal's interrupt does not reach it and it can be killed as a whole.
      detached: true,
    });
  } finally {
    closeSync(nothing);
  }
}

/** Watches time, silence and the size of the log. */
class Limits {
  exceeded: RunOutcome | null = null;
  readonly #request: RunRequest;
  readonly #clock: Clock;
  readonly #kill: () => void;
  readonly #cancelTimeout: () => void;
  #cancelSilence: () => void = () => undefined;
  #lastHeard: number;
  #size = 0n;

  constructor(request: RunRequest, clock: Clock, kill: () => void) {
    this.#request = request;
    this.#clock = clock;
    this.#kill = kill;
    this.#lastHeard = clock.now();
    this.#cancelTimeout =
      request.timeout > 0
        ? clock.after(request.timeout * 1000, () => this.#exceed({ type: "timedOut" }))
        : () => undefined;
    if (request.maxSilentTime > 0) this.#watchSilence(request.maxSilentTime * 1000);
  }

  /** Counts output; false when it exceeds the limit. */
  heard(bytes: number): boolean {
    this.#lastHeard = this.#clock.now();
    this.#size += BigInt(bytes);
    if (this.#request.maxLogSize === 0n || this.#size <= this.#request.maxLogSize) return true;
    this.#exceed({ type: "logTooLong" });
    return false;
  }

  stop(): void {
    this.#cancelTimeout();
    this.#cancelSilence();
  }

  #watchSilence(delay: number): void {
    this.#cancelSilence = this.#clock.after(delay, () => {
      // Checking again later is cheaper than a new timer for each piece of output.
      const left = this.#lastHeard + this.#request.maxSilentTime * 1000 - this.#clock.now();
      if (left > 0) this.#watchSilence(left);
      else this.#exceed({ type: "silent" });
    });
  }

  #exceed(outcome: RunOutcome): void {
    this.stop();
    if (this.exceeded !== null) return;
    this.exceeded = outcome;
    this.#kill();
  }
}
