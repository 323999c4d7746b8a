// The queue's file as text: one JSON line for each job that came, each that was tried and each that is done. What was cut off by a crash is passed over.
import { parseBoundedJson } from "../../base/bounded-json.ts";
import type { HookId } from "../../events/ids.ts";
import { isStorePath, type StorePath } from "../../formats/store-path.ts";
import type { HookJob } from "./job-queue.ts";

/** Longest line read, in characters: a derivation has a few hundred outputs at most. */
const MAX_LINE = 1024 * 1024;
/** More tries than any rule allows. */
const MAX_ATTEMPTS = 1_000_000;

/** How it went with a job so far, over all runs. Times are wall time in ms. */
export interface JobRecord {
  /** When this was written; of several the latest counts. */
  readonly at: number;
  /** When the job was made, or last asked for by the user; null where an older program wrote it. */
  readonly since: number | null;
  readonly attempts: number;
  readonly reason: string | null;
  /** When it is tried again, null: by the next run, or never. */
  readonly nextAt: number | null;
  readonly isGivenUp: boolean;
}

/** A job as it lies on disk. */
export interface KeptJob {
  readonly job: HookJob;
  readonly record: JobRecord;
}

/** What files of the queue hold. */
export interface ParsedQueue {
  /** Not done, in the order they came. */
  readonly kept: readonly KeptJob[];
  /** Lines that are whole and yet make no sense, each named; they are left out. */
  readonly problems: readonly string[];
}

/** Of a job nobody has tried. */
export function freshRecord(at: number): JobRecord {
  return { at, since: at, attempts: 0, reason: null, nextAt: null, isGivenUp: false };
}

/** The line that adds a job. */
export function printJob({ job, record }: KeptJob): string {
  const { id, kind, drvPath, paths, target, store } = job;
  return `${JSON.stringify({ type: "added", id, kind, drvPath, paths, target, store, ...record })}\n`;
}

/** The line that says how a try ended. */
export function printRecord(id: HookId, record: JobRecord): string {
  return `${JSON.stringify({ type: "tried", id, ...record })}\n`;
}

/** The line that ends a job. */
export function printDone(id: HookId): string {
  return `${JSON.stringify({ type: "done", id })}\n`;
}

/** Reads files of one owner or several; in which order does not matter: who is done is done, and the latest record counts. */
export function parseQueue(files: readonly { readonly name: string; readonly text: string }[]): ParsedQueue {
  const jobs = new Map<HookId, HookJob>();
  const records = new Map<HookId, JobRecord>();
  const done = new Set<HookId>();
  const problems: string[] = [];
  const remember = (id: HookId, record: JobRecord): void => {
    const known = records.get(id);
    if (known === undefined || known.at <= record.at) records.set(id, record);
  };
  for (const { name, text } of files) {
    for (const [index, line] of text.split("\n").entries()) {
      if (line === "") continue;
      const fields = line.length > MAX_LINE ? "longer than any line should be" : fieldsOf(line);
      // The end of a line is missing where a program died: nothing is wrong with that.
      if (fields === null) continue;
      const problem = typeof fields === "string" ? fields : take(fields);
      if (problem !== null) problems.push(`${name}:${index + 1}: ${problem}`);
    }
  }
  return {
    kept: [...jobs].flatMap(([id, job]) => {
      const record = records.get(id);
      return done.has(id) || record === undefined ? [] : [{ job, record }];
    }),
    problems,
  };

  function take(fields: Readonly<Record<string, unknown>>): string | null {
    if (typeof fields.id !== "string" || fields.id === "") return "expected a text in 'id'";
    const id = fields.id as HookId;
    if (fields.type === "done") {
      done.add(id);
      return null;
    }
    if (fields.type !== "added" && fields.type !== "tried") return null;
    const record = recordOf(fields);
    if (typeof record === "string") return record;
    if (fields.type === "added") {
      const job = jobOf(id, fields);
      if (typeof job === "string") return job;
      jobs.set(id, job);
    }
    remember(id, record);
    return null;
  }
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = parseBoundedJson(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function recordOf(fields: Readonly<Record<string, unknown>>): JobRecord | string {
  const { at = 0, since = null, attempts = 0, reason = null, nextAt = null, isGivenUp = false } = fields;
  if (!isTime(at)) return "expected a time in 'at'";
  if (since !== null && !isTime(since)) return "expected a time in 'since'";
  if (nextAt !== null && !isTime(nextAt)) return "expected a time in 'nextAt'";
  if (!Number.isInteger(attempts) || Number(attempts) < 0 || Number(attempts) > MAX_ATTEMPTS)
    return `expected 0 to ${MAX_ATTEMPTS} in 'attempts'`;
  if (reason !== null && typeof reason !== "string") return "expected a text in 'reason'";
  if (typeof isGivenUp !== "boolean") return "expected true or false in 'isGivenUp'";
  return { at, since, attempts: Number(attempts), reason, nextAt, isGivenUp };
}

/** Times that Date can show. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= 8.64e15;
}

function jobOf(id: HookId, fields: Readonly<Record<string, unknown>>): HookJob | string {
  const { kind, drvPath, paths, target, store } = fields;
  if (kind !== "postBuild" && kind !== "upload") return "expected 'postBuild' or 'upload' in 'kind'";
  if (typeof target !== "string" || typeof store !== "string") return "expected texts in 'target' and 'store'";
  if (typeof drvPath !== "string" || !isStorePath(drvPath)) return "expected a store path in 'drvPath'";
  const known = Array.isArray(paths)
    ? paths.filter((path): path is StorePath => typeof path === "string" && isStorePath(path))
    : null;
  if (known === null || known.length !== (paths as unknown[]).length) return "expected store paths in 'paths'";
  return { id, kind, drvPath, paths: known, target, store };
}
