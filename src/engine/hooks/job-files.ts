// Keeps the queue on disk: every process writes a file of its own, and takes over the files of those that have died.

import { closeSync, fsyncSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories } from "../base/directories.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import { readBack } from "../base/read-back.ts";
import type { HookId } from "../events/ids.ts";
import { ProcessFiles, writeWhole } from "../memory/process-files.ts";
import {
  type JobRecord,
  type KeptJob,
  type ParsedQueue,
  parseQueue,
  printDone,
  printJob,
  printRecord,
} from "./jobs/job-lines.ts";

const filesIn = (directory: string): ProcessFiles => new ProcessFiles(directory, "queue");

/** No file is read that is larger than this, in bytes: a job takes a few hundred. */
const LARGEST = 64 * 1024 * 1024;

/** What could not be done is no reason to stop a run, but must be told. */
export interface QueueFileOptions {
  readonly directory: string;
  readonly pid: number;
  readonly notice: (message: string) => void;
}

/** A job on disk and the process that has it, null when that is gone. */
export interface OwnedJob extends KeptJob {
  readonly pid: number | null;
}

/**
 * The queue's file of this process. A line is with the system as soon as it is written, so it survives the process however that ends.
 */
export class QueueFile {
  /** Jobs of processes that ended before these were done, in the order they came. */
  readonly left: readonly KeptJob[];
  readonly #path: string;
  readonly #notice: (message: string) => void;
  /** Files that were taken over and could not be written anew: they hold what this one lacks. */
  #taken: readonly string[];
  #file: number | null = null;
  #pending = new Set<HookId>();
  /** What was written last was cut short: the next line begins on a line of its own. */
  #isTorn = false;
  #complained = false;

  private constructor(
    path: string,
    left: readonly KeptJob[],
    taken: readonly string[],
    notice: (message: string) => void,
  ) {
    this.#path = path;
    this.left = left;
    this.#notice = notice;
    this.#taken = taken;
    for (const { job } of left) this.#pending.add(job.id);
    if (taken.length === 0) return;
    // The files that were taken over go only when everything in them is in the new one, and with the disk.
    if (left.length > 0 && !this.#write(left.map(printJob).join(""), true)) return;
    for (const each of taken) unlinkSync(each);
    this.#taken = [];
  }

  /** Opens a file of our own and takes over what is left of others. Throws `HOOK_QUEUE_UNWRITABLE` when the directory cannot be used. */
  static open({ directory, pid, notice }: QueueFileOptions): QueueFile {
    const all = filesIn(directory);
    try {
      makeDirectories(directory);
      const taken: string[] = [];
      const files: { name: string; text: string }[] = [];
      for (const name of all.dead()) {
        try {
          const text = readText(join(directory, name));
          taken.push(all.takeOver(name, pid));
          files.push({ name, text });
        } catch (error) {
          // Another process was quicker, or it is nothing that can be read.
          if (!isMissing(error)) notice(`'${join(directory, name)}' is left alone: ${messageOf(error)}`);
        }
      }
      const { kept, problems } = parseQueue(files);
      tellProblems(problems, directory, notice);
      return new QueueFile(all.fresh(pid), kept, taken, notice);
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
  static waiting(directory: string): readonly KeptJob[] {
    return readAll(directory, filesIn(directory).dead()).kept;
  }

  /** Every job there is, with whoever has it, and what is wrong with the files. */
  static all(directory: string): { readonly jobs: readonly OwnedJob[]; readonly problems: readonly string[] } {
    const files = filesIn(directory);
    const dead = new Set(files.dead());
    const byPid = Map.groupBy(
      files.all().filter(({ name }) => !dead.has(name)),
      ({ owner }) => owner.pid,
    );
    const parsed: [number | null, ParsedQueue][] = [[null, readAll(directory, [...dead])]];
    for (const [pid, mine] of byPid) {
      const names = mine.map(({ name }) => name);
      parsed.push([pid, readAll(directory, names)]);
    }
    return {
      jobs: parsed.flatMap(([pid, { kept }]) => kept.map((one) => ({ ...one, pid }))),
      problems: parsed.flatMap(([, { problems }]) => problems),
    };
  }

  add(kept: KeptJob): void {
    this.#pending.add(kept.job.id);
    this.#write(printJob(kept));
  }

  /** How it went with a job. */
  tried(id: HookId, record: JobRecord): void {
    if (this.#pending.has(id)) this.#write(printRecord(id, record));
  }

  done(id: HookId): void {
    if (!this.#pending.delete(id)) return;
    this.#write(printDone(id));
  }

  /** Closes the file, and deletes it when nothing is left in it. */
  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    const files = [...this.#taken, ...(this.#file === null ? [] : [this.#path])];
    this.#file = null;
    this.#taken = [];
    if (this.#pending.size > 0) return;
    for (const each of files) {
      try {
        unlinkSync(each);
      } catch {
        // A file of what is done does no harm: the next process clears it away.
      }
    }
  }

  /** Says whether everything has been written. */
  #write(lines: string, isForced = false): boolean {
    try {
      this.#file ??= openSync(this.#path, "ax", 0o600);
      const bytes = Buffer.from(this.#isTorn ? `\n${lines}` : lines);
      this.#isTorn = true;
      writeWhole(this.#file, bytes);
      this.#isTorn = false;
      if (isForced) fsyncSync(this.#file);
      return true;
    } catch (error) {
      if (!this.#complained) {
        this.#complained = true;
        this.#notice(
          `the queue of hooks cannot be kept on disk: ${messageOf(error)}; what is queued from now on is lost if this program is killed`,
        );
      }
      return false;
    }
  }
}

function readAll(directory: string, names: readonly string[]): ParsedQueue {
  const unreadable: string[] = [];
  const files = names.flatMap((name) => {
    try {
      return [{ name, text: readText(join(directory, name)) }];
    } catch (error) {
      if (!isMissing(error)) unreadable.push(`${name}: ${messageOf(error)}`);
      return [];
    }
  });
  const { kept, problems } = parseQueue(files);
  return { kept, problems: [...unreadable, ...problems] };
}

function tellProblems(problems: readonly string[], directory: string, notice: (message: string) => void): void {
  const [first] = problems;
  if (first === undefined) return;
  const more = problems.length === 1 ? "" : ` (and ${problems.length - 1} more)`;
  notice(`damaged lines of the queue of hooks in '${directory}' are left out: ${first}${more}`);
}

function readText(file: string): string {
  return readBack(file, LARGEST).bytes.toString("utf8");
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
