// How long the run will still take, between honest bounds, by ninja's rules of when to believe recorded times (status_printer.cc, 1.12).
import type { Estimate } from "../events/event.ts";

/** What the estimate is made from. All work in ms at speed factor 1. */
export interface EstimateInput {
  /** Since the run began, in ms. */
  readonly elapsedMs: number;
  /** Builds ended and builds left, running ones included. */
  readonly done: number;
  readonly left: number;
  /** Work left of builds with a known duration. */
  readonly knownWork: number;
  /** Builds left of which nothing is known. */
  readonly unknown: number;
  /** Average work of builds with a known duration, ended ones included; null when there is none. */
  readonly averageWork: number | null;
  /** Average work of builds of unknown duration that ended in this run, null when none has. */
  readonly learnedWork: number | null;
  /** Actual over recorded duration of the builds ended so far, null when none was recorded. */
  readonly actualOverRecorded: number | null;
  /** Work of the longest chain of builds that are left. */
  readonly chainWork: number;
  /** Speed of the fastest machine that is there, and the sum of slots × speed. */
  readonly fastest: number;
  readonly capacity: number;
}

/** Recorded times are trusted until so much of the run is done. */
const TRUST_MS = 15_000;
const TRUST_SHARE = 0.05;
/** After that only while they are not off by more than this. */
const TRUST_FACTOR = 10;

/**
 * The remaining time: never less than the longest chain on the fastest machine or all work on all slots, hardly more than both together (Graham's bound).
 * Null while nothing honest can be said: no machine is there, or nothing is known of any build.
 */
export function estimateRemaining(input: EstimateInput): Estimate | null {
  if (input.left === 0) return { lowMs: 0, highMs: 0, unpredictable: 0 };
  if (input.capacity <= 0 || input.fastest <= 0) return null;
  const each = input.learnedWork ?? input.averageWork;
  if (input.unknown > 0 && each === null) return null;
  const factor = correction(input);
  const work = input.knownWork * factor + input.unknown * (each ?? 0);
  const chain = (input.chainWork * factor) / input.fastest;
  const spread = work / input.capacity;
  return {
    lowMs: Math.round(Math.max(chain, spread)),
    highMs: Math.round(chain + spread),
    unpredictable: input.unknown,
  };
}

/** 1 while recorded times are believed, else what the run itself shows. */
function correction(input: EstimateInput): number {
  const { actualOverRecorded: ratio } = input;
  if (ratio === null) return 1;
  const early = input.elapsedMs < TRUST_MS || input.done < TRUST_SHARE * (input.done + input.left);
  if (early) return 1;
  return ratio > TRUST_FACTOR || ratio < 1 / TRUST_FACTOR ? ratio : 1;
}
