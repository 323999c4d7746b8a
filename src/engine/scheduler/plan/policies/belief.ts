// How far recorded durations are to be believed: what ended builds of this run show of how recorded and actual lengths go together.
//
// Where they do not, long records say nothing, and builds are ordered and placed as if all were of middling length: a regression of logarithms.

import type { Plan } from "../state/plan.ts";
import type { Belief } from "../state/reckoning.ts";
import type { Goal } from "../state/records.ts";
import { raiseRanks } from "./ranks.ts";

/** Records are believed as if so many builds, of a spread of one, had borne them out. */
const PRIOR = 6;

/** A smaller change of the slope is not worth working everything out anew. */
const CHANGE = 0.15;

/** The work (ms at speed 1) to reckon with where this much is recorded. */
export function believedWork(belief: Belief, recorded: number): number {
  if (belief.slope === 1 || belief.all === 0) return recorded;
  const middle = belief.allX / belief.all;
  return Math.exp(middle + belief.slope * (Math.log(recorded) - middle));
}

/** A build of recorded duration is to be done. */
export function noteRecorded(belief: Belief, recorded: number): void {
  belief.allX += Math.log(recorded);
  belief.all += 1;
}

/** Such a build has ended: recorded and actual work. Now and then what is believed of all others is worked out anew. */
export function noteActual(plan: Plan, recorded: number, actual: number): void {
  const { belief } = plan;
  const [x, y] = [Math.log(recorded), Math.log(Math.max(1, actual))];
  belief.count += 1;
  belief.x += x;
  belief.y += y;
  belief.xx += x * x;
  belief.xy += x * y;
  if (belief.count < belief.reviewAt) return;
  belief.reviewAt = belief.count * 2;
  const covered = belief.xy - (belief.x * belief.y) / belief.count;
  const spread = belief.xx - (belief.x * belief.x) / belief.count;
  const slope = Math.min(1, Math.max(0, (covered + PRIOR) / (spread + PRIOR)));
  if (Math.abs(slope - belief.slope) < CHANGE) return;
  belief.slope = slope;
  reassess(plan);
}

/** Gives every build that has not ended the work that is believed now, and the chains their lengths. */
function reassess(plan: Plan): void {
  const { belief, progress } = plan;
  const left: Goal[] = [];
  progress.knownWorkLeft = 0;
  for (const goal of plan.goals.values()) {
    if (goal.goalClass === null || goal.phase.type === "finished") continue;
    left.push(goal);
    goal.below = 0;
    if (!goal.isKnown) continue;
    goal.work = believedWork(belief, goal.recorded);
    progress.knownWorkLeft += goal.work;
  }
  raiseRanks(plan, left);
  plan.queuesChanged = true;
}
