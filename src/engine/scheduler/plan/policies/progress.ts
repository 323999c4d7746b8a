// What is left of the run, kept as sums so that an estimate costs next to nothing.

import type { Plan } from "../state/plan.ts";
import type { Progress } from "../state/reckoning.ts";
import type { Goal } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";
import { type EstimateInput, estimateRemaining } from "./estimate.ts";
import { spreadOf } from "./learned.ts";
import { lookAhead, workLeft } from "./outlook.ts";

/** Estimates are published at most this often. */
export const ESTIMATE_EVERY_MS = 1000;

/** A goal is to be built; its work has been assessed. */
export function noteToBuild(progress: Progress, goal: Goal): void {
  progress.left += 1;
  if (goal.isKnown) progress.knownWorkLeft += goal.work;
  else {
    progress.unknownLeft += 1;
    progress.guessedWorkLeft += goal.work;
  }
}

/** A goal that was to be built has ended, in whatever way. */
export function noteEnded(progress: Progress, goal: Goal): void {
  progress.left -= 1;
  progress.done += 1;
  if (goal.isKnown) progress.knownWorkLeft = Math.max(0, progress.knownWorkLeft - goal.work);
  else {
    progress.unknownLeft -= 1;
    progress.guessedWorkLeft = Math.max(0, progress.guessedWorkLeft - goal.work);
  }
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

function estimateInput(plan: Plan, now: number): EstimateInput {
  const { progress, learned, outlook } = plan;
  lookAhead(plan, now);
  const { workMs, chainMs } = workLeft(plan);
  const unknown = progress.unknownLeft;
  return {
    left: progress.left,
    unknown,
    workMs,
    chainMs,
    slowChainMs: outlook.topPace === 0 ? 0 : (chainMs * outlook.topPace * outlook.usableSlots) / outlook.capacity,
    capacity: outlook.capacity,
    spread: spreadOf(learned, unknown * 2 < progress.left),
    seen: learned.known.count + learned.all.count,
  };
}
