// What builds of this run teach about builds nothing was known of: typical and mean length beside the guess, by kind of goal.
//
// Lengths of builds are spread very widely. The mean says what to expect of a build that is to be placed, which makes a plan careful with slow
// machines; the typical length (geometric mean) says when a running one will probably be done.
import { LANES } from "./goal-class.ts";

/** Sums over ended builds of the ratio actual ÷ guessed work. */
interface Sums {
  count: number;
  sum: number;
  logSum: number;
}

export interface Learned {
  readonly all: Sums;
  readonly lanes: readonly Sums[];
  /** Mean ratio of each lane. */
  readonly mean: number[];
  /** Typical ratio of each lane. */
  readonly typical: number[];
  /** Sums over ended builds with a known duration: actual and expected ms. */
  known: { count: number; actualMs: number; expectedMs: number };
}

/** Builds a kind of goal needs before its own average weighs as much as the average of all. */
const PRIOR = 8;

export function createLearned(): Learned {
  const sums = (): Sums => ({ count: 0, sum: 0, logSum: 0 });
  return {
    all: sums(),
    lanes: Array.from({ length: LANES }, sums),
    mean: new Array<number>(LANES).fill(1),
    typical: new Array<number>(LANES).fill(1),
    known: { count: 0, actualMs: 0, expectedMs: 0 },
  };
}

/** Notes an ended build of a lane of unknown durations: its actual work over the guessed one. */
export function learn(learned: Learned, lane: number, ratio: number): void {
  const bounded = Math.max(ratio, 1e-6);
  for (const sums of [learned.all, learned.lanes[lane]!]) {
    sums.count += 1;
    sums.sum += bounded;
    sums.logSum += Math.log(bounded);
  }
  const { all } = learned;
  const allTypical = all.logSum / (all.count + 1);
  for (const [index, sums] of learned.lanes.entries()) {
    learned.mean[index] = (sums.sum + PRIOR * meanRatio(learned)) / (sums.count + PRIOR);
    learned.typical[index] = Math.exp((sums.logSum + PRIOR * allTypical) / (sums.count + PRIOR));
  }
}

/** Mean ratio over all builds; the first guess weighs as much as one build. */
export function meanRatio(learned: Learned): number {
  return (learned.all.sum + 1) / (learned.all.count + 1);
}
