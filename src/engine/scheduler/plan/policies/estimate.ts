// How long the run will still take: a range that is meant to hold, from what is left to do and how well that is known.
import type { Estimate } from "../../../events/event.ts";

/** What the estimate is made from. Times in ms. */
export interface EstimateInput {
  /** Builds left, running ones included, and those of them that nothing is recorded of. */
  readonly left: number;
  readonly unknown: number;
  /** Work left at pace 1, and the pace of all slots together. */
  readonly workMs: number;
  readonly capacity: number;
  /** Time of the longest chain that is left. */
  readonly chainMs: number;
  /** The same at the pace of the average slot. */
  readonly slowChainMs: number;
  /** How far off the lengths of single builds are (standard deviation of the logarithm), and from how many ended ones that is known. */
  readonly spread: number;
  readonly seen: number;
}

/** How many standard deviations the range reaches down and up: what goes wrong takes longer more often than shorter. */
const DOWN = 1.5;
const UP = 2.2;

/** What was seen of so many builds was known before any ended. */
const PRIOR = 3;

/** The range grows with doubt up to so many times either way; beyond, it would say nothing. */
const WIDEST = Math.log(4);

/**
 * The remaining time: never less than the longest chain or all work on all slots, hardly more than both together (Graham's bound), each with its doubt.
 * Null while nothing can be said: no machine is there, or nothing is known of any build.
 */
export function estimateRemaining(input: EstimateInput): Estimate | null {
  const { left, unknown, workMs, capacity, chainMs, slowChainMs, spread, seen } = input;
  if (left === 0) return { lowMs: 0, highMs: 0, unpredictable: 0 };
  if (capacity <= 0) return null;
  if (unknown === left && seen === 0) return null;
  const allMs = workMs / capacity;
  // Many builds even each other out; an error that all of them share does not, and a long chain hangs on few.
  const share = chainMs / (chainMs + allMs);
  const few = Math.max(1, left * (1 - share));
  const doubt = spread * Math.sqrt(1 / few + 1 / (seen + PRIOR));
  return {
    lowMs: Math.round(Math.max(chainMs, allMs) * Math.exp(-Math.min(WIDEST, DOWN * doubt))),
    highMs: Math.round((slowChainMs + allMs) * Math.exp(Math.min(WIDEST, UP * doubt))),
    unpredictable: unknown,
  };
}
