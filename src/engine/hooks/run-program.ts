// Runs a hook program: its own process group, its output as lines, a time limit, and nothing of it left behind.
import { execa } from "execa";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";

/** Longest line passed on, in bytes; the rest of a longer one is passed as further lines. */
const MAX_LINE = 64 * 1024;

/** How long after its exit a program's children may hold its output before that is said, milliseconds. */
const HELD_MS = 5_000;

/** A program to run and how. */
export interface ProgramCall {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Milliseconds, 0 no limit. */
  readonly timeoutMs: number;
  /** User and group to run as, null ours. */
  readonly user: { readonly uid: number; readonly gid: number } | null;
  /** Standard output and error, merged, line by line, as UTF-8 text. */
  readonly logged: (lines: readonly string[]) => void;
  readonly clock: Clock;
}

/** How a program ended. */
export type ProgramEnd =
  | { readonly type: "exited"; readonly code: number; readonly durationMs: number }
  | { readonly type: "killed"; readonly signal: string; readonly durationMs: number }
  | { readonly type: "timedOut"; readonly afterMs: number; readonly durationMs: number }
  | { readonly type: "cancelled"; readonly durationMs: number }
  | { readonly type: "notStarted"; readonly reason: string; readonly durationMs: number };

/**
 * Runs a program to its end: its exit, and, as in Nix, the end of its output, which a process it started may still hold. Never rejects. Aborting
 * the signal or the time limit kills it and everything it started; where the program itself had exited by then, how is the answer.
 */
export async function runProgram(call: ProgramCall, signal: AbortSignal): Promise<ProgramEnd> {
  const startedAt = call.clock.now();
  const elapsed = (): number => call.clock.now() - startedAt;
  if (signal.aborted) return { type: "cancelled", durationMs: 0 };
  const lines = new LineSplitter(call.logged);
  const stopped = new AbortController();
  let timedOut = false;
  let exitCode: number | null = null;
  let disarmHeld = (): void => undefined;
  const onAbort = (): void => stopped.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  const disarm =
    call.timeoutMs > 0
      ? call.clock.after(call.timeoutMs, () => {
          timedOut = true;
          stopped.abort();
        })
      : () => undefined;
  try {
    const child = execa(call.file, [...call.args], {
      env: call.env,
      extendEnv: false,
      cwd: call.cwd,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      all: true,
      buffer: false,
      reject: false,
      killDescendants: true,
      forceKillAfterDelay: 2_000,
      cancelSignal: stopped.signal,
      ...(call.user === null ? {} : { uid: call.user.uid, gid: call.user.gid }),
    });
    child.all?.on("data", (chunk: Buffer) => lines.push(chunk));
    child.nodeChildProcess.once("exit", (code) => {
      if (stopped.signal.aborted) return;
      exitCode = code;
      disarmHeld = call.clock.after(HELD_MS, () =>
        call.logged([`'${call.file}' has exited; waiting for a process it started, which holds its output`]),
      );
    });
    const result = await child;
    lines.end();
    const durationMs = elapsed();
    if (exitCode !== null) return { type: "exited", code: exitCode, durationMs };
    if (timedOut) return { type: "timedOut", afterMs: call.timeoutMs, durationMs };
    if (signal.aborted) return { type: "cancelled", durationMs };
    if (result.exitCode !== undefined) return { type: "exited", code: result.exitCode, durationMs };
    if (result.signal !== undefined) return { type: "killed", signal: result.signal, durationMs };
    return { type: "notStarted", reason: "message" in result ? messageOf(result) : "it did not start", durationMs };
  } catch (error) {
    return { type: "notStarted", reason: messageOf(error), durationMs: elapsed() };
  } finally {
    disarm();
    disarmHeld();
    signal.removeEventListener("abort", onAbort);
  }
}

/** The failure of a program in Nix's words, null when it exited with 0. */
export function failureOf(file: string, end: ProgramEnd): string | null {
  switch (end.type) {
    case "exited":
      return end.code === 0 ? null : `program '${file}' failed with exit code ${end.code}`;
    case "killed":
      return `program '${file}' failed due to signal ${end.signal}`;
    case "timedOut":
      return `program '${file}' timed out after ${end.afterMs / 1000} seconds`;
    case "cancelled":
      return `program '${file}' was cancelled`;
    case "notStarted":
      return `program '${file}' could not be started: ${end.reason}`;
  }
}

/** Cuts bytes into lines without keeping more than one line. */
class LineSplitter {
  readonly #emit: (lines: readonly string[]) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(emit: (lines: readonly string[]) => void) {
    this.#emit = emit;
  }

  push(chunk: Buffer): void {
    const lines: string[] = [];
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10)) {
      lines.push(data.subarray(0, at).toString("utf8"));
      data = data.subarray(at + 1);
    }
    while (data.length > MAX_LINE) {
      lines.push(data.subarray(0, MAX_LINE).toString("utf8"));
      data = data.subarray(MAX_LINE);
    }
    this.#rest = Buffer.from(data);
    if (lines.length > 0) this.#emit(lines);
  }

  end(): void {
    if (this.#rest.length > 0) this.#emit([this.#rest.toString("utf8")]);
    this.#rest = Buffer.alloc(0);
  }
}
