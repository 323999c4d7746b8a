// The journal's lines: what must survive the program, as plain values, one JSON object a line with a format version.
import type { EngineEvent, GoalResult } from "../events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId } from "../events/ids.ts";

/** Raised with every incompatible change of the records. */
export const JOURNAL_VERSION = 1;

/** `at` is wall time in ms since 1970. */
export type JournalRecord =
  | {
      readonly type: "runStarted";
      readonly at: number;
      readonly runId: string;
      readonly owner: RunOwner;
      /** Derivations or paths asked for. */
      readonly targets: readonly string[];
    }
  /** Written before the build is sent. */
  | {
      readonly type: "buildSent";
      readonly at: number;
      readonly claim: ClaimId;
      readonly goal: GoalId;
      readonly machine: MachineId;
      readonly round: number;
      readonly attempt: number;
    }
  | {
      readonly type: "buildEnded";
      readonly at: number;
      readonly claim: ClaimId;
      readonly result: "built" | "alreadyValid" | "failed" | "cancelled";
      readonly durationMs: number;
    }
  | { readonly type: "goalFinished"; readonly at: number; readonly goal: GoalId; readonly result: GoalResult["type"] }
  | {
      readonly type: "hookQueued";
      readonly at: number;
      readonly hook: HookId;
      readonly goal: GoalId;
      readonly paths: readonly string[];
    }
  | { readonly type: "hookEnded"; readonly at: number; readonly hook: HookId; readonly done: boolean }
  | { readonly type: "runFinished"; readonly at: number; readonly exitStatus: number };

/** The process a run belongs to; all three together are never used again. */
export interface RunOwner {
  readonly pid: number;
  /** Of the system's boot, empty where it has none. */
  readonly bootId: string;
  /** When the process was started, in the system's own units; empty where it does not say. */
  readonly startTime: string;
}

/** What a line turned out to be. */
export type ParsedLine =
  | { readonly type: "record"; readonly record: JournalRecord }
  /** Written by a newer program. */
  | { readonly type: "newer"; readonly version: number }
  /** Cut off, or never a record. */
  | { readonly type: "torn" };

/** The record as a line, with its end. */
export function printRecord(record: JournalRecord): string {
  return `${JSON.stringify({ v: JOURNAL_VERSION, ...record })}\n`;
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const number: Check = (value) => typeof value === "number" && Number.isFinite(value);
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const truth: Check = (value) => typeof value === "boolean";
const owner: Check = (value) => isFields(value) && number(value.pid) && text(value.bootId) && text(value.startTime);

const FIELDS: Readonly<Record<JournalRecord["type"], Readonly<Record<string, Check>>>> = {
  runStarted: { runId: text, owner, targets: texts },
  buildSent: { claim: text, goal: text, machine: text, round: number, attempt: number },
  buildEnded: { claim: text, result: text, durationMs: number },
  goalFinished: { goal: text, result: text },
  hookQueued: { hook: text, goal: text, paths: texts },
  hookEnded: { hook: text, done: truth },
  runFinished: { exitStatus: number },
};

/** Reads a line without its end. */
export function parseRecord(line: string): ParsedLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { type: "torn" };
  }
  if (!isFields(value) || typeof value.v !== "number") return { type: "torn" };
  if (value.v > JOURNAL_VERSION) return { type: "newer", version: value.v };
  const { type } = value;
  if (typeof type !== "string" || !Object.hasOwn(FIELDS, type) || !number(value.at)) return { type: "torn" };
  const checks = FIELDS[type as JournalRecord["type"]];
  for (const [name, check] of Object.entries(checks)) if (!check(value[name])) return { type: "torn" };
  const { v: _, ...record } = value;
  return { type: "record", record: record as unknown as JournalRecord };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What of an event the journal keeps, null for most events. */
export function recordOfEvent(event: EngineEvent, at: number): JournalRecord | null {
  switch (event.type) {
    case "buildAssigned": {
      const { claim, goal, machine, round, attempt } = event;
      return { type: "buildSent", at, claim, goal, machine, round, attempt };
    }
    case "buildEnded": {
      const { claim, durationMs, result } = event;
      return { type: "buildEnded", at, claim, result: result.type, durationMs };
    }
    case "goalFinished":
      return { type: "goalFinished", at, goal: event.goal, result: event.result.type };
    case "hookQueued": {
      const { hook, goal, paths } = event;
      return { type: "hookQueued", at, hook, goal, paths };
    }
    case "hookFinished":
      if (event.result.type === "willRetry") return null;
      return { type: "hookEnded", at, hook: event.hook, done: event.result.type === "succeeded" };
    default:
      return null;
  }
}

/** Whether a record must be on disk before anything else is done. */
export function mustBeDurable(record: JournalRecord): boolean {
  return record.type === "buildSent" || record.type === "runStarted" || record.type === "hookQueued";
}

/** Builds that were sent and of which no end is known: where each may have been finished since. */
export function unfinishedBuilds(records: Iterable<JournalRecord>): Map<GoalId, MachineId> {
  const sent = new Map<ClaimId, Extract<JournalRecord, { type: "buildSent" }>>();
  for (const record of records) {
    if (record.type === "buildSent") sent.set(record.claim, record);
    else if (record.type === "buildEnded") sent.delete(record.claim);
  }
  return new Map([...sent.values()].map(({ goal, machine }) => [goal, machine]));
}

/** Hooks that were queued and have not run: what the next run takes up. */
export function unfinishedHooks(
  records: Iterable<JournalRecord>,
): readonly { readonly goal: GoalId; readonly paths: readonly string[] }[] {
  const queued = new Map<HookId, { readonly goal: GoalId; readonly paths: readonly string[] }>();
  for (const record of records) {
    if (record.type === "hookQueued") queued.set(record.hook, { goal: record.goal, paths: record.paths });
    else if (record.type === "hookEnded" && record.done) queued.delete(record.hook);
  }
  return [...queued.values()];
}
