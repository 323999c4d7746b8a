// A transport to a program on this machine over its standard input and output: `nix-daemon --stdio` of a single-user Nix.
import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import { abortable, makeOpener } from "./opener.ts";
import { StreamTransport } from "./stream-transport.ts";
import type { Transport, TransportOpener } from "./transport.ts";

/** How long to read on from standard error after the program has exited: a grandchild may hold the pipe open indefinitely. */
const STDERR_LINGER_MS = 200;

/** What to run, and how to end it. */
export interface ChildOptions {
  /** Program and arguments; the program is searched for in PATH. */
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /**
   * Time in ms between closing the program's input, which a Nix server notices within 50 ms, and SIGTERM to its process group.
   * SIGKILL is never sent: a Nix 2.8 server killed that way leaves its builder running.
   */
  readonly stopGraceMs: number;
}

/** An opener that starts a new process of the program for each transport. */
export function childProcessOpener(options: ChildOptions): TransportOpener {
  return makeOpener({ name: options.command.join(" "), openOne: (signal) => openChildProcess(options, signal) });
}

/** Starts the program in its own process group. Throws CHILD_NOT_FOUND, CHILD_DENIED or CHILD_FAILED. */
export function openChildProcess(options: ChildOptions, signal: AbortSignal): Promise<Transport> {
  const [program, ...args] = options.command;
  const child = spawn(program, args, {
    detached: true,
    env: { ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { stdin, stdout, stderr } = child;
  const transport = new StreamTransport({
    name: program,
    input: stdout,
    output: stdin,
    stderr,
    drop: () => {
      // Node's pipes are socket pairs, so the whole socket must be destroyed: the program would not notice a half-closed one.
      stdin.destroy();
      stdout.destroy();
      stopAfterGrace(child, options);
    },
  });
  let stderrEnded = false;
  let onStderrEnd: () => void = () => undefined;
  stderr.once("close", () => {
    stderrEnded = true;
    onStderrEnd();
  });
  child.once("exit", (exitCode, exitSignal) => {
    const settle = (): void => transport.settle({ type: "closedThere", exitCode, signal: exitSignal });
    if (stderrEnded) {
      settle();
      return;
    }
    const cancel = options.clock.after(STDERR_LINGER_MS, settle);
    onStderrEnd = () => {
      cancel();
      settle();
    };
  });
  const opening = new Promise<Transport>((resolve, reject) => {
    child.once("spawn", () => resolve(transport));
    child.once("error", (error: NodeJS.ErrnoException) => {
      const failure = startError(program, error);
      transport.settle({ type: "failed", error: failure });
      reject(failure);
    });
  });
  return abortable(opening, signal, (late) => late.close());
}

function stopAfterGrace(child: ChildProcess, options: ChildOptions): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const cancel = options.clock.after(options.stopGraceMs, () => {
    try {
      process.kill(-pid, "SIGTERM");
    } catch {
      // The group has already ended.
    }
  });
  child.once("exit", cancel);
}

function startError(program: string, error: NodeJS.ErrnoException): EngineError {
  if (error.code === "ENOENT") {
    return new EngineError("transport", "CHILD_NOT_FOUND", `cannot start '${program}': command not found`, {
      hint: "install it, or add its directory to PATH",
      cause: error,
    });
  }
  if (error.code === "EACCES") {
    return new EngineError("transport", "CHILD_DENIED", `cannot start '${program}': Permission denied`, {
      cause: error,
    });
  }
  return new EngineError("transport", "CHILD_FAILED", `cannot start '${program}': ${error.message}`, { cause: error });
}
