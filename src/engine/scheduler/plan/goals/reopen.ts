// Trying again what did not come about, because the user asked: the goal, what it needs, and what needed it.

import { noteToBuild } from "../policies/progress.ts";
import { endedBadly } from "../state/goal.ts";
import { reviewAll } from "../state/plan.ts";
import type { Goal } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";
import { haltReason } from "./finish.ts";
import { isHopeless, isToBuild, need, takeFirstStep } from "./goals.ts";

/** Reopens goals, the inputs they lack, and dependants that lack nothing else; returns how many. A halt by a failure is lifted. */
export function reopen(turn: Turn, goals: readonly Goal[]): number {
  const { plan } = turn;
  plan.hold = "none";
  const chosen = new Set<Goal>();
  const stack = [...goals];
  if (plan.halt !== null && plan.halt.type !== "stopped") {
    stack.push(...endedBy(turn, haltReason(plan.halt)));
    plan.halt = null;
  }
  for (let goal = stack.pop(); goal !== undefined; goal = stack.pop()) {
    if (chosen.has(goal) || !endedBadly(goal)) continue;
    chosen.add(goal);
    stack.push(...goal.inputs.filter(endedBadly));
  }
  const reached = [...chosen];
  for (let goal = reached.pop(); goal !== undefined; goal = reached.pop()) {
    for (const dependant of goal.dependants) {
      if (chosen.has(dependant) || !isNotBuilt(dependant)) continue;
      if (dependant.inputs.some((input) => endedBadly(input) && !chosen.has(input))) continue;
      chosen.add(dependant);
      reached.push(dependant);
    }
  }
  const ordered = [...chosen].sort((a, b) => a.level - b.level || a.index - b.index);
  for (const goal of ordered) {
    goal.phase = { type: "dormant" };
    goal.failures = [];
    goal.trouble = null;
    goal.answers = [];
    plan.unfinished += 1;
    if (goal.goalClass !== null) {
      if (goal.goalClass.members === 0) goal.goalClass.isUnconnected = true;
      goal.goalClass.members += 1;
      plan.progress.done -= 1;
      noteToBuild(plan.progress, goal);
    }
    turn.events.push({ type: "goalReopened", goal: goal.id });
  }
  reviewAll(plan);
  for (const goal of ordered) {
    if (isToBuild(goal) && !isHopeless(plan, goal)) need(turn, goal.inputs);
    takeFirstStep(turn, goal);
  }
  return ordered.length;
}

function isNotBuilt(goal: Goal): boolean {
  return goal.phase.type === "finished" && goal.phase.result.type === "notBuilt";
}

/** Goals that a halt ended. */
function endedBy(turn: Turn, reason: string): Goal[] {
  return [...turn.plan.goals.values()].filter((goal) => {
    if (goal.phase.type !== "finished") return false;
    const { result } = goal.phase;
    return (result.type === "notBuilt" || result.type === "cancelled") && result.reason === reason;
  });
}
