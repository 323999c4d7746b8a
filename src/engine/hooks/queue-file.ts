// Keeps the queue on disk: every process writes a file of its own, and takes over the files of those that have died.
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EngineError, messageOf } from "../errors.ts";
import type { HookId } from "../events/ids.ts";
import type { HookJob } from "./queue.ts";
import { parseJobs, printDone, printJob } from "./queue-lines.ts";

/** `queue-<pid>-<start time of the process>-<n>.jsonl`. */
const NAME = /^queue-(\d+)-(\d+)-(\d+)\.jsonl$/;

let opened = 0;

/** What could not be done is no reason to stop a run, but must be told. */
export interface QueueFileOptions {
  readonly directory: string;
  readonly pid: number;
  readonly notice: (message: string) => void;
}

/**
 * The queue's file of this process. A line is with the system as soon as it is written, so it survives the process however that ends.
 * The name says who owns it: whoever renames the file of a dead process to a name of its own has taken it over, and only one can.
 */
export class QueueFile {
  /** Jobs of processes that ended before these were done, in the order they came. */
  readonly left: readonly HookJob[];
  readonly #path: string;
  readonly #notice: (message: string) => void;
  #file: number | null = null;
  #pending = new Set<HookId>();
  #complained = false;

  private constructor(path: string, left: readonly HookJob[], notice: (message: string) => void) {
    this.#path = path;
    this.left = left;
    this.#notice = notice;
    for (const job of left) this.add(job);
  }

  /** Opens a file of our own and takes over what is left of others. Throws `HOOK_QUEUE_UNWRITABLE` when the directory cannot be used. */
  static open({ directory, pid, notice }: QueueFileOptions): QueueFile {
    const own = (): string => join(directory, `queue-${pid}-${startOf(pid)}-${++opened}.jsonl`);
    try {
      mkdirSync(directory, { recursive: true });
      const left: HookJob[] = [];
      const taken: string[] = [];
      for (const name of readdirSync(directory).sort()) {
        const match = NAME.exec(name);
        if (match === null || isAlive(Number(match[1]), match[2] ?? "")) continue;
        const mine = own();
        try {
          renameSync(join(directory, name), mine);
        } catch {
          // Another process was quicker.
          continue;
        }
        taken.push(mine);
        left.push(...parseJobs(readFileSync(mine, "utf8")));
      }
      const file = new QueueFile(own(), left, notice);
      // Only now everything is in the new file.
      for (const path of taken) unlinkSync(path);
      return file;
    } catch (cause) {
      throw new EngineError(
        "store",
        "HOOK_QUEUE_UNWRITABLE",
        `cannot keep the queue of hooks in '${directory}': ${messageOf(cause)}`,
        {
          hint: "set journal-dir to a directory that can be written, or use post-build-hook-mode = blocking",
          cause,
        },
      );
    }
  }

  /** Looks for jobs of processes that have ended, without taking them over. */
  static waiting(directory: string): HookJob[] {
    try {
      return readdirSync(directory)
        .filter((name) => {
          const match = NAME.exec(name);
          return match !== null && !isAlive(Number(match[1]), match[2] ?? "");
        })
        .sort()
        .flatMap((name) => parseJobs(readFileSync(join(directory, name), "utf8")));
    } catch {
      return [];
    }
  }

  add(job: HookJob): void {
    this.#pending.add(job.id);
    this.#write(printJob(job));
  }

  done(id: HookId): void {
    if (!this.#pending.delete(id)) return;
    this.#write(printDone(id));
  }

  /** Closes the file, and deletes it when nothing is left in it. */
  close(): void {
    if (this.#file === null) return;
    closeSync(this.#file);
    this.#file = null;
    if (this.#pending.size > 0) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // An empty file does no harm: the next process clears it away.
    }
  }

  #write(line: string): void {
    try {
      this.#file ??= openSync(this.#path, "ax", 0o600);
      writeSync(this.#file, line);
    } catch (error) {
      if (this.#complained) return;
      this.#complained = true;
      this.#notice(
        `the queue of hooks cannot be kept on disk: ${messageOf(error)}; what is queued is lost if this program is killed`,
      );
    }
  }
}

function isAlive(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Somebody else's process is a process, too.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  // Numbers of processes are used again; when one began tells the two apart.
  return startOf(pid) === start;
}

/** When a process began, in ticks since the system did; 0 where the system does not say. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "0";
  }
}
