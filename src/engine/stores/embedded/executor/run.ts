// Runs a builder's process tree: its log, its limits, and its end, whatever it has started.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Clock } from "../../../clock.ts";
import { EngineError, messageOf } from "../../../errors.ts";
import { killGroup } from "./kill-group.ts";
import type { LogPipe } from "./log-pipe.ts";

/** How long (milliseconds) the log of a builder that has ended may still stay open: its processes are being killed. */
const LOG_PATIENCE = 2_000;

/** What is run. */
export interface RunRequest {
  readonly program: string;
  readonly args: readonly string[];
  /** Environment of `program` itself, which sets up the builder's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Open files the child gets as descriptors 3, 4, …; closed here when it runs. */
  readonly descriptors: readonly number[];
  readonly pipe: LogPipe;
  /** Seconds, 0 for none. */
  readonly timeout: number;
  readonly maxSilentTime: number;
  /** Bytes, 0n for none. */
  readonly maxLogSize: bigint;
  /** Hears the output as it comes. */
  readonly output: (bytes: Uint8Array) => void;
  readonly started: () => void;
  /** Kills what the process group does not reach; called whenever the builder has ended or shall end. */
  readonly killRest: () => void;
}

/** How it ended. */
export type RunOutcome =
  | { readonly type: "exited"; readonly code: number }
  | { readonly type: "killed"; readonly signal: NodeJS.Signals }
  | { readonly type: "timedOut" }
  | { readonly type: "silent" }
  | { readonly type: "logTooLong" };

/**
 * Runs to the end. Aborting the signal kills everything at once and rejects with its reason when it is gone.
 * @throws EngineError `EXECUTOR_CANNOT_START`.
 */
export async function run(request: RunRequest, clock: Clock, signal: AbortSignal): Promise<RunOutcome> {
  const { pipe } = request;
  let child: ChildProcess;
  try {
    signal.throwIfAborted();
    child = spawn(request.program, request.args, {
      stdio: ["ignore", pipe.descriptor, pipe.descriptor, ...request.descriptors],
      env: { ...request.environment },
      cwd: "/",
      // A process group of its own, so that a terminal's interrupt does not reach it and it can be killed whole.
      detached: true,
    });
  } catch (error) {
    pipe.input.destroy();
    throw error;
  } finally {
    closeSync(pipe.descriptor);
    for (const descriptor of request.descriptors) closeSync(descriptor);
  }

  const limits = new Limits(request, clock, () => kill());
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
    request.killRest();
  };
  signal.addEventListener("abort", kill, { once: true });
  pipe.input.on("data", (bytes: Buffer) => {
    if (limits.heard(bytes.length)) request.output(bytes);
  });
  const logEnded = new Promise<void>((resolve) => {
    pipe.input.once("close", () => resolve());
    pipe.input.once("error", () => resolve());
  });
  try {
    const outcome = await new Promise<RunOutcome>((resolve, reject) => {
      child.once("spawn", request.started);
      child.once("error", (cause) => {
        pipe.input.destroy();
        reject(
          new EngineError("build", "EXECUTOR_CANNOT_START", `cannot run '${request.program}': ${messageOf(cause)}`, {
            cause,
          }),
        );
      });
      child.once("exit", (code, killedBy) => {
        resolve(killedBy === null ? { type: "exited", code: code ?? 0 } : { type: "killed", signal: killedBy });
      });
    });
    // The group's number is free again, so only what is known in other ways may be killed now.
    request.killRest();
    const tired = clock.after(LOG_PATIENCE, () => pipe.input.destroy());
    await logEnded;
    tired();
    if (pipe.input.readableEnded) pipe.reuse();
    signal.throwIfAborted();
    return limits.exceeded ?? outcome;
  } finally {
    limits.stop();
    signal.removeEventListener("abort", kill);
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

  /** Notes output; false when it is beyond the limit. */
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
      // Looking again later is cheaper than a new timer for each piece of output.
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
