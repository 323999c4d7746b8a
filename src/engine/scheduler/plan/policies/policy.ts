// Which goal goes first and where it goes: what every policy answers.

import type { Plan } from "../state/plan.ts";
import type { Goal, Machine } from "../state/records.ts";
import { typicalRatio } from "./learned.ts";

export type Choice =
  /** `explanation` says why this machine, in words; then what sending the inputs is expected to take and what is recorded of the build, in ms. */
  | {
      readonly type: "start";
      readonly machine: Machine;
      readonly sendMs: number;
      readonly recordedMs: number;
      readonly explanation: string;
    }
  /** A busy machine is worth waiting for; expected to be free at `at` (monotonic ms). */
  | { readonly type: "wait"; readonly machine: Machine; readonly at: number; readonly because: () => string }
  /** All of them are busy, and none is to be waited for in particular. */
  | { readonly type: "busy" };

export interface Policy {
  /** Whether machines that are still being connected to come into question. */
  readonly waitsForArrivals: boolean;
  /** Begins a pass over the queues at a time (monotonic ms). What a pass promises is kept with the plan. */
  beginPass(plan: Plan, now: number): void;
  /** Chooses among machines that may take the goal; some have a free slot, some may not. */
  choose(plan: Plan, goal: Goal, candidates: readonly Machine[]): Choice;
  /** Starts a goal on a machine with a free slot that was chosen for another reason. */
  chooseAnyway(plan: Plan, goal: Goal, machine: Machine, explanation: string): Choice;
}

/** Urgency of a goal against goals of other queues: the highest goes first. Within a queue the order never changes, between queues it may. */
export function urgencyOf(plan: Plan, goal: Goal, guess: number): number {
  if (plan.options.policy === "nix") return goal.boost * 1e12 - goal.index;
  return goal.boost * 1e15 + (goal.work + goal.below) * typicalRatio(plan.learned, guess);
}
