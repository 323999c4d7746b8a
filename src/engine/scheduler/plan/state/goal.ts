// What can be asked of a goal, and how one begins.
import type { GoalSpec } from "../fact.ts";
import type { ResumedGoal } from "../options.ts";
import type { Answer, BuildingPhase, Claim, Goal, Machine } from "./records.ts";

/** A goal as it arrives. */
export function createGoal(spec: GoalSpec, index: number, resumed: ResumedGoal | null): Goal {
  return {
    id: spec.goal,
    spec,
    index,
    inputs: NO_GOALS,
    dependants: NO_GOALS,
    level: -1,
    isTarget: spec.isTarget,
    needed: false,
    pending: 0,
    phase: { type: "dormant" },
    goalClass: null,
    work: 0,
    isKnown: false,
    recorded: 0,
    patience: null,
    below: 0,
    mark: 0,
    boost: boostOf(resumed),
    resumed,
    queuedIn: null,
    failures: resumed === null ? NO_FAILURES : [...resumed.failures],
    answers: NO_ANSWERS,
    trouble: null,
    begunOn: NO_PLACES,
    outputBytes: 0,
    places: NO_PLACES,
    open: NO_CLAIMS,
    waiting: null,
    waitingSince: 0,
  };
}

/** What was begun before goes first; most of all what only has to be fetched, as it keeps a slot for a moment. */
function boostOf(resumed: ResumedGoal | null): number {
  if (resumed === null || resumed.machine === null) return 0;
  return resumed.isBuilt ? 0.75 : 0.5;
}

// Shared empty lists: most of a large plan's goals never need their own.
const NO_GOALS: Goal[] = [];
const NO_FAILURES: string[] = [];
const NO_ANSWERS: readonly Answer[] = [];
const NO_PLACES: number[] = [];
const NO_CLAIMS: Claim[] = [];

/** Its outputs have become valid, and now they are checked. */
export function turnToCheck(goal: Goal): void {
  goal.spec = { ...goal.spec, check: true, checkNext: false, validity: "valid" };
}

/** Whether a goal has ended with its outputs valid. */
export function isDone(goal: Goal): boolean {
  if (goal.phase.type !== "finished") return false;
  const { type } = goal.phase.result;
  return type === "built" || type === "substituted" || type === "alreadyValid";
}

/** Whether a goal ended without its outputs. */
export function endedBadly(goal: Goal): boolean {
  return goal.phase.type === "finished" && !isDone(goal);
}

/** Whether the goal is being built or waits for it, and nothing has decided its end. */
export function isUndecided(goal: Goal): goal is Goal & { phase: BuildingPhase } {
  return goal.phase.type === "building" && goal.phase.verdict === null;
}

/**
 * Index of the round that may start next, -1 when there is none. The first comes first, as the others are compared with it and some rules speak of
 * its machine.
 */
export function nextRound(goal: Goal): number {
  if (!isUndecided(goal)) return -1;
  const { rounds } = goal.phase;
  if (rounds.length === 1) return rounds[0]!.type === "queued" ? 0 : -1;
  const next = rounds.findIndex((round) => round.type === "queued");
  if (next <= 0) return next;
  const first = rounds[0]!.type;
  return first === "running" || first === "built" ? next : -1;
}

/** Whether a round of it could start as soon as there is a slot. */
export function wantsSlot(goal: Goal): boolean {
  return nextRound(goal) >= 0;
}

/** The claims of its rounds that run or were built. */
export function roundClaims(goal: Goal): readonly Claim[] {
  if (goal.phase.type !== "building") return NO_CLAIMS;
  const { rounds } = goal.phase;
  if (rounds.length === 1) {
    const only = rounds[0]!;
    return only.type === "running" || only.type === "built" ? [only.claim] : NO_CLAIMS;
  }
  return rounds.flatMap((round) => (round.type === "running" || round.type === "built" ? [round.claim] : []));
}

/** Notes trouble with a goal on a machine. */
export function noteTrouble(goal: Goal, machine: Machine, excluded: string | null): void {
  goal.trouble ??= new Map();
  const known = goal.trouble.get(machine.index);
  if (known === undefined) goal.trouble.set(machine.index, { failures: 1, excluded });
  else {
    known.failures += 1;
    known.excluded ??= excluded;
  }
}
