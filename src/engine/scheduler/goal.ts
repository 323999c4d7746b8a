// What the plan knows of one goal, and the states a goal goes through.
import type { GoalResult, WaitingReason } from "../events/event.ts";
import type { GoalId, HookId } from "../events/ids.ts";
import type { Answer } from "./answers.ts";
import type { Claim } from "./claim.ts";
import type { GoalSpec } from "./fact.ts";
import type { GoalClass } from "./goal-class.ts";
import type { Machine } from "./machine.ts";
import type { ResumedGoal } from "./options.ts";

/** One round of a goal that is being built. */
export type RoundState =
  /** Not before the earlier rounds: all rounds must use one machine. */
  | { readonly type: "later" }
  | { readonly type: "queued" }
  /** Lost to machinery; tried again at `until` (monotonic ms). */
  | { readonly type: "backOff"; readonly until: number }
  | { readonly type: "running"; readonly claim: Claim }
  /** `differs` is null until the first round is there to compare with. */
  | { readonly type: "built"; readonly claim: Claim; readonly differs: readonly string[] | null };

export interface BuildingPhase {
  readonly type: "building";
  readonly rounds: RoundState[];
  /** Whether the first round's outputs have come into the destination store. */
  received: "no" | "underWay" | "yes";
  /** Decided already; only what still runs for it has to end. */
  verdict: GoalResult | null;
}

export type GoalPhase =
  /** Nobody needs it. */
  | { readonly type: "dormant" }
  /** Waits for inputs. */
  | { readonly type: "inputs" }
  /** Waits until substitutions may start. */
  | { readonly type: "toSubstitute" }
  /** `verdict`: it was cancelled and only has to end. */
  | { readonly type: "substituting"; verdict: GoalResult | null }
  | BuildingPhase
  /** Built; a blocking post-build hook must finish first. */
  | { readonly type: "hook"; readonly hook: HookId; readonly result: GoalResult }
  | { readonly type: "finished"; readonly result: GoalResult };

/** What went wrong with a goal on one machine. */
export interface Trouble {
  failures: number;
  /** It cannot be built there, whatever else happens. */
  excluded: string | null;
}

export interface Goal {
  readonly id: GoalId;
  spec: GoalSpec;
  /** Order of arrival: Nix's order. */
  readonly index: number;
  inputs: readonly Goal[];
  /** Goals that have this one as an input, needed or not. */
  dependants: Goal[];
  /** Longest chain of inputs under it; an input's is smaller. */
  level: number;
  isTarget: boolean;
  needed: boolean;
  /** Inputs that have not ended well; 0 unless it waits for inputs. */
  pending: number;
  phase: GoalPhase;
  /** How it is matched with machines; null until it is needed for building. */
  goalClass: GoalClass | null;
  /** Expected work in ms on a machine of speed factor 1; a guess unless `isKnown`. */
  work: number;
  isKnown: boolean;
  /** The work that is recorded of it, whether it is believed or not; the guess where nothing is. */
  recorded: number;
  /** Until when (monotonic ms) it may wait for a busy machine while another one is free; null while it does not. */
  patience: number | null;
  /** Work in ms of the longest chain of needed builds that wait for it, itself excluded. */
  below: number;
  /** Set while goals are gone through, so that each is visited once. */
  mark: number;
  /** Raised by the user's "build next"; the highest goes first. Below 1 what an earlier run had begun. */
  boost: number;
  /** What an earlier run says of it. */
  readonly resumed: ResumedGoal | null;
  /** The class in whose queues it is, null in none. */
  queuedIn: GoalClass | null;
  /** Reasons of failed attempts, oldest first. */
  failures: string[];
  /** Failures that may have been its own: what each said. */
  answers: readonly Answer[];
  /** By machine index. */
  trouble: Map<number, Trouble> | null;
  /** Machines, by index, that were asked to build it by a claim that was lost: they may have finished it. */
  begunOn: readonly number[];
  /** Bytes of its outputs, 0 when unknown. */
  outputBytes: number;
  /** Machines that have its outputs, by index. */
  places: number[];
  /** Builds of it that have not ended, receiving included. */
  open: Claim[];
  /** The reason published last, and when (monotonic ms). */
  waiting: WaitingReason | null;
  waitingSince: number;
}

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
