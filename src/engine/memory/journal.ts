// The journals on disk: one file for each run, so that programs side by side never write the same one.
//
// A file is only appended to. Each record is with the system before anything else is done, so it survives the program however that ends; it is not
// forced to the disk, since all that a power cut can take away is the knowledge where to look first.

import { closeSync, fsyncSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories } from "../base/directories.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import { openBack, readBack } from "../base/read-back.ts";
import { ProcessFiles, writeWhole } from "./process-files.ts";
import { type JournalRecord, parseRecord, printRecord, type RunGoals } from "./records/record.ts";

/** No journal is read that is larger than this, in bytes; a run of 100,000 builds writes about 50 MB. */
const LARGEST = 256 * 1024 * 1024;

/** The first record is not longer than this, in bytes. */
const LONGEST_HEAD = 16 * 1024 * 1024;

/** Journals that nobody has continued are kept so long, and no more than so many. */
const KEPT_MS = 30 * 24 * 3600 * 1000;
const KEPT = 50;

const filesIn = (directory: string): ProcessFiles => new ProcessFiles(directory, "run");

/** A run's journal while the run writes it. */
export interface Journal {
  readonly file: string;
  /** Appends records; when it returns they are with the system. Throws `JOURNAL_UNWRITABLE`. */
  append(records: readonly JournalRecord[]): void;
  /** Closes it; `discard` deletes it, as nothing of it is needed any more. */
  close(discard: boolean): void;
}

/** Begins a run's journal in the folder of all, which is made if need be. Throws `JOURNAL_UNWRITABLE`. */
export function createJournal(directory: string, records: readonly JournalRecord[]): Journal {
  const file = filesIn(directory).fresh(process.pid);
  let fd: number;
  try {
    makeDirectories(directory, 0o700);
    fd = openSync(file, "ax", 0o600);
  } catch (error) {
    throw unwritable(file, error);
  }
  const journal: Journal = {
    file,
    append: (more) => {
      if (more.length === 0) return;
      try {
        writeWhole(fd, Buffer.from(more.map(printRecord).join(""), "utf8"));
      } catch (error) {
        throw unwritable(file, error);
      }
    },
    close: (discard) => {
      closeSync(fd);
      if (discard) rmSync(file, { force: true });
    },
  };
  try {
    journal.append(records);
    // What an earlier run left has no other place from now on.
    fsyncSync(fd);
  } catch (error) {
    journal.close(true);
    throw error;
  }
  return journal;
}

function unwritable(file: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  return new EngineError("store", "JOURNAL_UNWRITABLE", `cannot write the journal ${file}: ${messageOf(cause)}`, {
    hint: "should this run be killed, the next one will not know where its builds were; set journal-dir to a directory that can be written",
    cause,
  });
}

/** A journal of a run whose process is gone. */
export interface DeadRun {
  readonly file: string;
  readonly goals: RunGoals;
  readonly builds: number;
  readonly records: readonly JournalRecord[];
  /** Lines that could not be used: torn, or written by a newer program. */
  readonly dropped: number;
  /** Those of them that hold a value that cannot be: which line, which field. */
  readonly damaged: readonly string[];
  /** Wall time of its last record's writing, ms. */
  readonly endedAt: number;
}

/**
 * Takes over the journals of dead runs of the same goals, oldest first: from then on they are this process's, which removes them when it has written
 * down what they say. What cannot be read is left out.
 */
export function takeOver(directory: string, isWanted: (goals: RunGoals) => boolean): DeadRun[] {
  const taken: DeadRun[] = [];
  const files = filesIn(directory);
  for (const name of files.dead()) {
    const file = join(directory, name);
    const head = readHead(file);
    if (head === null || !isWanted(head)) continue;
    try {
      taken.push(readJournal(files.takeOver(name, process.pid)));
    } catch {
      // Another process was quicker, or it cannot be read.
    }
  }
  return taken.sort((a, b) => a.endedAt - b.endedAt);
}

/** Removes a journal that was taken over. */
export function removeRun(run: DeadRun): void {
  rmSync(run.file, { force: true });
}

/** Removes journals that nobody has continued for long, and the oldest of too many; returns how many. `now` is wall time in ms. */
export function removeOld(directory: string, now: number): number {
  const ages: { readonly file: string; readonly changedAt: number }[] = [];
  for (const name of filesIn(directory).dead()) {
    const file = join(directory, name);
    try {
      ages.push({ file, changedAt: statSync(file).mtimeMs });
    } catch {
      // Another process has taken it over.
    }
  }
  ages.sort((a, b) => b.changedAt - a.changedAt);
  const old = ages.filter(({ changedAt }, index) => index >= KEPT || now - changedAt > KEPT_MS);
  for (const { file } of old) rmSync(file, { force: true });
  return old.length;
}

/** Reads a journal. Throws `JOURNAL_UNREADABLE`. */
export function readJournal(file: string): DeadRun {
  let text: string;
  let endedAt: number;
  try {
    const { bytes, changedAt } = readBack(file, LARGEST);
    endedAt = changedAt;
    text = bytes.toString("utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
  const lines = text.split("\n");
  // What follows the last line's end is empty, or was being written when the program died.
  let dropped = lines.pop() === "" ? 0 : 1;
  const records: JournalRecord[] = [];
  const damaged: string[] = [];
  for (const [index, line] of lines.entries()) {
    const parsed = parseRecord(line);
    if (parsed.type === "record") records.push(parsed.record);
    else dropped += 1;
    if (parsed.type === "damaged") damaged.push(`line ${index + 1}, '${parsed.field}'`);
  }
  const head = records[0];
  if (head?.type !== "runStarted") throw unreadable(file, new Error("it does not begin with the run"));
  return { file, goals: head.goals, builds: head.builds, records, dropped, damaged, endedAt };
}

function unreadable(file: string, cause: unknown): EngineError {
  return new EngineError("store", "JOURNAL_UNREADABLE", `cannot read the journal ${file}: ${messageOf(cause)}`, {
    hint: "remove the file if it is of no use",
    cause,
  });
}

/** What a journal is about, null when its first line does not say. */
function readHead(file: string): RunGoals | null {
  let fd: number | null = null;
  try {
    fd = openBack(file);
    let text = "";
    const chunk = Buffer.alloc(64 * 1024);
    while (text.length < LONGEST_HEAD) {
      const count = readSync(fd, chunk);
      text += chunk.toString("latin1", 0, count);
      const end = text.indexOf("\n");
      if (end < 0 && count > 0) continue;
      const parsed = end < 0 ? null : parseRecord(Buffer.from(text.slice(0, end), "latin1").toString("utf8"));
      return parsed?.type === "record" && parsed.record.type === "runStarted" ? parsed.record.goals : null;
    }
    return null;
  } catch {
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
