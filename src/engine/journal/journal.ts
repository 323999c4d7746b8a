// The journal on disk: one file for each run, so that programs side by side never write the same one.
//
// A file is only appended to. What a crash leaves is a file without `runFinished` whose process is gone; its last line may be torn, and is dropped.
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { EngineError, messageOf } from "../errors.ts";
import { type JournalRecord, mustBeDurable, parseRecord, printRecord, type RunOwner } from "./record.ts";

/** No journal is read that is larger than this, in bytes; a run of 100,000 builds writes about 40 MB. */
const LARGEST = 512 * 1024 * 1024;

/** A run's journal while the run writes it. */
export interface Journal {
  readonly file: string;
  /** Appends records; returns when those that must not be lost are on disk, and the others are with the system. */
  append(records: readonly JournalRecord[]): void;
  close(): void;
}

export interface JournalOptions {
  /** Folder of all runs' journals, made if need be. */
  readonly directory: string;
  /** Becomes the file's name: letters, digits, `-` and `_`. */
  readonly runId: string;
  /** Wall time in ms. */
  readonly at: number;
  readonly targets: readonly string[];
}

/** Begins a run's journal. Throws `JOURNAL_UNWRITABLE`. */
export function createJournal(options: JournalOptions): Journal {
  const { directory, runId, at, targets } = options;
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(runId)) {
    throw new EngineError(
      "internal",
      "JOURNAL_BAD_ID",
      `expected a run id of letters, digits, - and _, found '${runId}'`,
    );
  }
  const file = join(directory, `${runId}.jsonl`);
  let fd: number;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    fd = openSync(file, "ax", 0o600);
    syncDirectory(directory);
  } catch (error) {
    throw unwritable(file, error);
  }
  const journal: Journal = {
    file,
    append: (records) => {
      if (records.length === 0) return;
      try {
        writeWhole(fd, Buffer.from(records.map(printRecord).join(""), "utf8"));
        if (records.some(mustBeDurable)) fdatasyncSync(fd);
      } catch (error) {
        throw unwritable(file, error);
      }
    },
    close: () => closeSync(fd),
  };
  journal.append([{ type: "runStarted", at, runId, owner: ownerOf(process.pid), targets }]);
  return journal;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}

/** So that the file itself survives, not only what is in it. */
function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function unwritable(file: string, cause: unknown): EngineError {
  return new EngineError("store", "JOURNAL_UNWRITABLE", `cannot write the journal ${file}: ${messageOf(cause)}`, {
    hint: "make room or give write access there, or choose another state directory with XDG_STATE_HOME",
    cause,
  });
}

/** A journal as found. */
export interface JournaledRun {
  readonly runId: string;
  readonly file: string;
  /** `running`: its process lives. `interrupted`: it does not, and never said that the run had ended. */
  readonly state: "running" | "finished" | "interrupted";
  readonly records: readonly JournalRecord[];
  /** Lines that could not be used: torn, or written by a newer program. */
  readonly dropped: number;
  /** Wall time of its last change, ms. */
  readonly changedAt: number;
}

/** Reads a journal. Throws `JOURNAL_UNREADABLE`. */
export function readJournal(file: string): JournaledRun {
  let text: string;
  let changedAt: number;
  try {
    const { size, mtimeMs } = statSync(file);
    if (size > LARGEST) throw new Error(`it is ${size} bytes long, more than ${LARGEST}`);
    changedAt = mtimeMs;
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new EngineError("store", "JOURNAL_UNREADABLE", `cannot read the journal ${file}: ${messageOf(error)}`, {
      hint: "remove the file if it is of no use",
      cause: error,
    });
  }
  const lines = text.split("\n");
  // What follows the last line's end is empty, or was being written when the program died.
  let dropped = lines.pop() === "" ? 0 : 1;
  const records: JournalRecord[] = [];
  for (const line of lines) {
    const parsed = parseRecord(line);
    if (parsed.type === "record") records.push(parsed.record);
    else dropped += 1;
  }
  const runId = file.slice(file.lastIndexOf("/") + 1).replace(/\.jsonl$/, "");
  return { runId, file, state: stateOf(records), records, dropped, changedAt };
}

function stateOf(records: readonly JournalRecord[]): JournaledRun["state"] {
  if (records.some((record) => record.type === "runFinished")) return "finished";
  const started = records.find((record) => record.type === "runStarted");
  return started !== undefined && isAlive(started.owner) ? "running" : "interrupted";
}

/** Every run's journal, the oldest first; files that cannot be read are left out. */
export function listRuns(directory: string): JournaledRun[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  const runs: JournaledRun[] = [];
  for (const name of names) {
    if (!name.endsWith(".jsonl")) continue;
    try {
      runs.push(readJournal(join(directory, name)));
    } catch {
      // Another program may have removed it meanwhile.
    }
  }
  return runs.sort((a, b) => a.changedAt - b.changedAt || (a.runId < b.runId ? -1 : 1));
}

/** Removes journals of finished runs but the newest `keep`; returns how many. Interrupted ones stay until someone has taken them up. */
export function removeFinished(directory: string, keep: number): number {
  const finished = listRuns(directory).filter((run) => run.state === "finished");
  const surplus = finished.slice(0, Math.max(0, finished.length - keep));
  for (const run of surplus) rmSync(run.file, { force: true });
  return surplus.length;
}

/** Removes the journal of a run that was taken up by another. */
export function removeRun(run: JournaledRun): void {
  rmSync(run.file, { force: true });
}

/** Names a process so that a later one with the same number is told from it. */
export function ownerOf(pid: number): RunOwner {
  return { pid, bootId: readOr("/proc/sys/kernel/random/boot_id").trim(), startTime: startTimeOf(pid) };
}

/** Whether the process of a run still lives. */
export function isAlive(owner: RunOwner): boolean {
  const now = ownerOf(owner.pid);
  if (now.bootId !== owner.bootId) return false;
  if (owner.startTime !== "" || now.startTime !== "") return owner.startTime === now.startTime;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    // No permission means that it is there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Field 22 of `/proc/PID/stat` (proc(5)): ticks from boot to the start of the process; the name before it may hold anything. */
function startTimeOf(pid: number): string {
  const stat = readOr(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function readOr(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
