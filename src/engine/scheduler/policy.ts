// Which goal goes first and where it goes: what every policy answers.
import type { Goal } from "./goal.ts";
import type { Machine } from "./machine.ts";

export type Choice =
  /** `explanation` says why this machine, in words. `sendMs` is what sending the inputs is expected to take. */
  | {
      readonly type: "start";
      readonly machine: Machine;
      readonly sendMs: number;
      readonly explanation: string;
    }
  /** A busy machine is worth waiting for; expected to be free at `at` (monotonic ms). */
  | { readonly type: "wait"; readonly machine: Machine; readonly at: number }
  /** All of them are busy, and none is to be waited for in particular. */
  | { readonly type: "busy" };

/** A policy in one pass over the queues; it may remember what it promised during the pass. */
export interface Chooser {
  /** Urgency of a queue's first goal against that of other queues: the highest goes first. */
  urgency(goal: Goal, lane: number): number;
  /** Chooses among machines that may take the goal; some have a free slot, some may not. */
  choose(goal: Goal, candidates: readonly Machine[]): Choice;
}
