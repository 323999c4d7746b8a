// Finds and ends processes by what the kernel says of them (parent, mount namespace), never by name.
import { type ChildProcess, type SpawnOptionsWithoutStdio, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What a finished program left; `status` is null when a signal ended it. */
export interface RunResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link collect}. */
export interface CollectOptions extends SpawnOptionsWithoutStdio {
  /** Given to the program's stdin, which is then closed; empty when absent. */
  readonly input?: string | Uint8Array;
  /** Milliseconds before the program is killed (SIGKILL); 120 s when absent. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end and collects what it printed. Rejects only when it cannot be started. */
export function collect(program: string, args: readonly string[], options: CollectOptions = {}): Promise<RunResult> {
  const { input, timeoutMs = 120_000, ...spawnOptions } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { ...spawnOptions, stdio: "pipe" });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // A program that does not read its input closes the pipe: not a failure of the run.
    child.stdin.on("error", () => {});
    child.stdin.end(input ?? "");
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString("utf8");
      resolve({ status, signal, stdout: text(stdout), stderr: text(stderr) });
    });
  });
}

/** Trimmed stdout of a program that must succeed. Throws with its stderr when it does not. */
export async function outputOf(
  program: string,
  args: readonly string[],
  options: CollectOptions = {},
): Promise<string> {
  return successful([program, ...args], await collect(program, args, options));
}

/** Trimmed stdout of a result that must be a success; throws an error that quotes the command and its stderr otherwise. */
export function successful(command: readonly string[], result: RunResult): string {
  if (result.status !== 0) {
    const end = result.signal ?? `status ${result.status}`;
    throw new Error(`${command.join(" ")}: ${end}\n${result.stderr.trim()}\n${result.stdout.trim()}`.trim());
  }
  return result.stdout.trim();
}

/** The mount namespace of a process as the kernel names it (`mnt:[4026531840]`), or null when it is gone or not ours to see. */
export function mountNamespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}

/** All processes of this machine with their parents. */
function parents(): Map<number, number> {
  const found = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      // The name in brackets may hold anything; the parent is the second field after the last bracket.
      const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
      found.set(Number(entry), Number(parent));
    } catch {
      // Gone between the listing and the read.
    }
  }
  return found;
}

/** Every process in the given mount namespace or below the given processes, the given ones included; parents before children. */
export function processTree(roots: readonly number[], mountNamespace: string | null = null): number[] {
  const all = parents();
  const members = new Set<number>(roots.filter((pid) => all.has(pid)));
  if (mountNamespace !== null) {
    for (const pid of all.keys()) if (mountNamespaceOf(pid) === mountNamespace) members.add(pid);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const [pid, parent] of all) {
      if (members.has(parent) && !members.has(pid)) {
        members.add(pid);
        grown = true;
      }
    }
  }
  return [...members];
}

/** Sends a signal to each process that still exists. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Already gone.
    }
  }
}

const doomed = new Set<() => readonly number[]>();

// Before other listeners: what writes to a temporary folder must be gone when the folder goes.
process.prependListener("exit", () => {
  for (const find of doomed) signalAll(find(), "SIGKILL");
});

/** Has processes killed when this process ends without having done so itself. Answers the function that takes it back. */
export function killAtExit(find: () => readonly number[]): () => void {
  doomed.add(find);
  return () => doomed.delete(find);
}

/** Resolves when the child has ended (at once when it already has). */
export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/** Polls until the condition holds. Throws with the given words after the time is over. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Living processes other than ours with a text in their command line, or in their environment. */
export function processesWith(text: string, where: "cmdline" | "environ" = "cmdline"): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/${where}`, "latin1").includes(text);
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}
