// The journal's lines: what must survive the program, as plain values, one JSON object a line with a format version.
import { parseBoundedJson } from "../../base/bounded-json.ts";
import type { EngineEvent, GoalResult } from "../../events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../events/ids.ts";

/** Raised with every incompatible change of the records. */
export const JOURNAL_VERSION = 1;

/** `at` is wall time in ms since 1970. */
export type JournalRecord =
  | {
      readonly type: "runStarted";
      readonly at: number;
      readonly runId: string;
      readonly goals: RunGoals;
      /** Builds that were to be made when the first of the runs began that this one continues. */
      readonly builds: number;
    }
  /** What an earlier run left, so that its own journal is not needed any more. */
  | { readonly type: "carried"; readonly at: number; readonly build: LeftBuild }
  /** Written before the build is sent. */
  | {
      readonly type: "buildSent";
      readonly at: number;
      readonly claim: ClaimId;
      readonly goal: GoalId;
      readonly machine: MachineId;
      readonly round: number;
      readonly rounds: number;
      readonly attempt: number;
      readonly isCheck: boolean;
    }
  /** `message` is empty unless machinery failed. */
  | {
      readonly type: "buildEnded";
      readonly at: number;
      readonly claim: ClaimId;
      readonly result: "built" | "machineryFailed" | "over";
      readonly message: string;
    }
  | { readonly type: "goalFinished"; readonly at: number; readonly goal: GoalId; readonly result: GoalResult["type"] }
  | { readonly type: "runFinished"; readonly at: number; readonly exitStatus: number };

/** What makes two runs runs of the same goals. */
export interface RunGoals {
  /** The store the results are for. */
  readonly store: string;
  /** Derivations with the outputs wanted, and paths; sorted. */
  readonly targets: readonly string[];
  /** Valid outputs are built again and compared. */
  readonly isCheck: boolean;
}

/** One build that a run did not bring to its end. */
export interface LeftBuild {
  readonly goal: GoalId;
  /** Where it was last, null when it was nowhere. */
  readonly machine: MachineId | null;
  /** It had been built there; only its outputs had not come. */
  readonly isBuilt: boolean;
  /** A round of several ran on this machine itself, which may have left an output valid that was never compared. */
  readonly isUnverified: boolean;
  /** Why each attempt failed, oldest first. */
  readonly failures: readonly string[];
}

/** What a line turned out to be. */
export type ParsedLine =
  | { readonly type: "record"; readonly record: JournalRecord }
  /** Written by a newer program. */
  | { readonly type: "newer"; readonly version: number }
  /** Cut off, or never a record. */
  | { readonly type: "torn" }
  /** A record with a value that cannot be; `field` names what it is in. */
  | { readonly type: "damaged"; readonly field: string };

/** The record as a line, with its end. */
export function printRecord(record: JournalRecord): string {
  return `${JSON.stringify({ v: JOURNAL_VERSION, ...record })}\n`;
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const number: Check = (value) => typeof value === "number" && Number.isFinite(value);
/** More of anything than a run has; each counts as one line of work for whoever reads it. */
const MANY = 1_000_000;
const count: Check = (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MANY;
/** A goal has five attempts, and as many again each time the user asks. */
const MOST_ATTEMPTS = 1000;
const attempts: Check = (value) => count(value) && Number(value) <= MOST_ATTEMPTS;
const time: Check = (value) => number(value) && Math.abs(Number(value)) <= 8.64e15;
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const truth: Check = (value) => typeof value === "boolean";
const shape =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isFields(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
const runGoals = shape({ store: text, targets: texts, isCheck: truth });
const leftBuild = shape({
  goal: text,
  machine: (value) => value === null || text(value),
  isBuilt: truth,
  isUnverified: truth,
  failures: (value) => texts(value) && (value as unknown[]).length <= MOST_ATTEMPTS,
});

const FIELDS: Readonly<Record<JournalRecord["type"], Readonly<Record<string, Check>>>> = {
  runStarted: { runId: text, goals: runGoals, builds: count },
  carried: { build: leftBuild },
  buildSent: { claim: text, goal: text, machine: text, round: count, rounds: count, attempt: attempts, isCheck: truth },
  buildEnded: { claim: text, result: text, message: text },
  goalFinished: { goal: text, result: text },
  runFinished: { exitStatus: number },
};

/** Reads a line without its end. */
export function parseRecord(line: string): ParsedLine {
  let value: unknown;
  try {
    value = parseBoundedJson(line);
  } catch {
    return { type: "torn" };
  }
  if (!isFields(value) || typeof value.v !== "number") return { type: "torn" };
  if (value.v > JOURNAL_VERSION) return { type: "newer", version: value.v };
  const { type } = value;
  if (typeof type !== "string" || !Object.hasOwn(FIELDS, type) || !time(value.at)) return { type: "torn" };
  for (const [field, check] of Object.entries(FIELDS[type as JournalRecord["type"]])) {
    if (!check(value[field])) return { type: "damaged", field };
  }
  const { v: _, ...record } = value;
  return { type: "record", record: record as unknown as JournalRecord };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two runs are about the same. */
export function isSameGoals(a: RunGoals, b: RunGoals): boolean {
  return (
    a.store === b.store &&
    a.isCheck === b.isCheck &&
    a.targets.length === b.targets.length &&
    a.targets.every((target, index) => target === b.targets[index])
  );
}

/** What of an event the journal keeps, null for most events. */
export function recordOfEvent(event: EngineEvent, at: number): JournalRecord | null {
  switch (event.type) {
    case "buildAssigned": {
      const { claim, goal, machine, round, rounds, attempt, isCheck } = event;
      return { type: "buildSent", at, claim, goal, machine, round, rounds, attempt, isCheck };
    }
    case "buildEnded": {
      const { claim, result } = event;
      const isBuilt = result.type === "built" || result.type === "alreadyValid";
      if (isBuilt) return { type: "buildEnded", at, claim, result: "built", message: "" };
      if (result.type === "failed" && result.kind === "machinery") {
        return { type: "buildEnded", at, claim, result: "machineryFailed", message: result.message };
      }
      return { type: "buildEnded", at, claim, result: "over", message: "" };
    }
    case "goalFinished":
      return { type: "goalFinished", at, goal: event.goal, result: event.result.type };
    default:
      return null;
  }
}
