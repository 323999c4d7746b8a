// The queue's file as text: one JSON line for each job that came and each that is done. What was cut off by a crash is passed over.
import type { HookId } from "../events/ids.ts";
import { isStorePath, type StorePath } from "../formats/store-path.ts";
import type { HookJob } from "./queue.ts";

/** Longest line read, in characters: a derivation has a few hundred outputs at most. */
const MAX_LINE = 1024 * 1024;

/** The line that adds a job. */
export function printJob({ id, kind, drvPath, paths, target, store }: HookJob): string {
  return `${JSON.stringify({ type: "added", id, kind, drvPath, paths, target, store })}\n`;
}

/** The line that ends a job. */
export function printDone(id: HookId): string {
  return `${JSON.stringify({ type: "done", id })}\n`;
}

/** The jobs of a file that are not done, in the order they came. */
export function parseJobs(text: string): HookJob[] {
  const jobs = new Map<HookId, HookJob>();
  for (const line of text.split("\n")) {
    if (line === "" || line.length > MAX_LINE) continue;
    const fields = fieldsOf(line);
    if (fields === null || typeof fields.id !== "string") continue;
    const id = fields.id as HookId;
    if (fields.type === "done") jobs.delete(id);
    else if (fields.type === "added") {
      const job = jobOf(id, fields);
      if (job !== null) jobs.set(id, job);
    }
  }
  return [...jobs.values()];
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function jobOf(id: HookId, fields: Readonly<Record<string, unknown>>): HookJob | null {
  const { kind, drvPath, paths, target, store } = fields;
  if (kind !== "postBuild" && kind !== "upload") return null;
  if (typeof target !== "string" || typeof store !== "string") return null;
  if (typeof drvPath !== "string" || !isStorePath(drvPath) || !Array.isArray(paths)) return null;
  const known = paths.filter((path): path is StorePath => typeof path === "string" && isStorePath(path));
  return known.length === paths.length ? { id, kind, drvPath, paths: known, target, store } : null;
}
