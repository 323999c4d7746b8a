// What is left of the run, kept as sums so that an estimate costs next to nothing.

import { type EstimateInput, estimateRemaining } from "./estimate.ts";
import { UNKNOWN_WORK_MS } from "./expect.ts";
import type { Goal } from "./goal.ts";
import { meanRatio } from "./learned.ts";
import { isUsable, speedOf } from "./machine.ts";
import type { Plan } from "./plan.ts";
import type { Turn } from "./turn.ts";

/** Estimates are published at most this often. */
export const ESTIMATE_EVERY_MS = 1000;

/** Sums over goals that are made by building. */
export interface Progress {
  done: number;
  left: number;
  unknownLeft: number;
  knownWorkLeft: number;
  /** Over all builds of known duration, ended ones included. */
  knownWork: number;
  knownCount: number;
}

export function createProgress(): Progress {
  return { done: 0, left: 0, unknownLeft: 0, knownWorkLeft: 0, knownWork: 0, knownCount: 0 };
}

/** A goal is to be built; its work has been assessed. */
export function noteToBuild(progress: Progress, goal: Goal): void {
  progress.left += 1;
  if (goal.isKnown) {
    progress.knownWorkLeft += goal.work;
    progress.knownWork += goal.work;
    progress.knownCount += 1;
  } else progress.unknownLeft += 1;
}

/** A goal that was to be built has ended, in whatever way. */
export function noteEnded(progress: Progress, goal: Goal): void {
  progress.left -= 1;
  progress.done += 1;
  if (goal.isKnown) progress.knownWorkLeft = Math.max(0, progress.knownWorkLeft - goal.work);
  else progress.unknownLeft -= 1;
}

/** Publishes the estimate when it is due and has changed. */
export function publishEstimate(turn: Turn): void {
  const { plan, now } = turn;
  if (now.mono - plan.estimatedAt < ESTIMATE_EVERY_MS) return;
  plan.estimatedAt = now.mono;
  const remaining = estimateRemaining(estimateInput(plan, now.mono));
  const { estimate } = plan;
  const isSame =
    remaining === null || estimate === null
      ? remaining === estimate
      : remaining.lowMs === estimate.lowMs &&
        remaining.highMs === estimate.highMs &&
        remaining.unpredictable === estimate.unpredictable;
  if (isSame) return;
  plan.estimate = remaining;
  turn.events.push({ type: "estimateChanged", remaining });
}

/** Work of the chain that a goal begins, of which `done` has been worked; guesses scaled by what was learned. */
function chainLeft(goal: Goal, done: number, mean: number, scale: number): number {
  const own = goal.isKnown ? goal.work : goal.work * mean;
  return goal.below * scale + Math.max(0, own - done);
}

function estimateInput(plan: Plan, now: number): EstimateInput {
  const { progress, learned } = plan;
  let knownWork = progress.knownWorkLeft;
  let chainWork = 0;
  let fastest = 0;
  let capacity = 0;
  // Where all are guesses, the guesses' proportions hold, scaled by what was learned.
  const mean = meanRatio(learned);
  const scale = learned.known.count === 0 ? mean : 1;
  for (const machine of plan.machines) {
    if (isUsable(machine)) {
      fastest = Math.max(fastest, speedOf(machine));
      capacity += speedOf(machine) * machine.slots;
    }
    if (machine.running === 0) continue;
    for (const claim of machine.lanes) {
      if (claim === null) continue;
      const { goal } = claim;
      const done = (now - claim.startedAt) * speedOf(machine);
      if (goal.isKnown) knownWork -= Math.min(goal.work, done);
      const chain = chainLeft(goal, done, mean, scale);
      if (chain > chainWork) chainWork = chain;
    }
  }
  for (const goalClass of plan.classList) {
    for (const lane of goalClass.lanes) {
      const head = lane.at(0);
      if (head !== undefined) chainWork = Math.max(chainWork, chainLeft(head, 0, mean, scale));
    }
  }
  return {
    elapsedMs: plan.startedAt === null ? 0 : now - plan.startedAt,
    done: progress.done,
    left: progress.left,
    knownWork: Math.max(0, knownWork),
    unknown: progress.unknownLeft,
    averageWork: progress.knownCount === 0 ? null : progress.knownWork / progress.knownCount,
    learnedWork: learned.all.count === 0 ? null : UNKNOWN_WORK_MS * meanRatio(learned),
    actualOverRecorded: learned.known.expectedMs > 0 ? learned.known.actualMs / learned.known.expectedMs : null,
    chainWork,
    fastest,
    capacity,
  };
}
