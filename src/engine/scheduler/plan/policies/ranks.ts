// The critical path: for each needed build the work of the longest chain that waits for it, kept up to date as goals are added.

import type { Plan } from "../state/plan.ts";
import type { Goal } from "../state/records.ts";

/**
 * Takes newly needed goals into account. Goals are gone through from those that nothing waits for down to their inputs, each once: an input's level is
 * always below that of what needs it.
 */
export function raiseRanks(plan: Plan, added: readonly Goal[]): void {
  const mark = ++plan.counts.marks;
  const levels: Goal[][] = [];
  const visit = (goal: Goal): void => {
    if (goal.mark === mark) return;
    goal.mark = mark;
    while (levels.length <= goal.level) levels.push([]);
    levels[goal.level]!.push(goal);
  };
  for (const goal of added) visit(goal);
  for (let height = levels.length - 1; height >= 0; height--) {
    for (const goal of levels[height]!) {
      if (goal.goalClass === null || !goal.needed) continue;
      const chain = goal.below + goal.work;
      for (const input of goal.inputs) {
        if (input.below >= chain) continue;
        input.below = chain;
        if (input.queuedIn !== null) plan.queuesChanged = true;
        if (input.needed) visit(input);
      }
    }
  }
}
