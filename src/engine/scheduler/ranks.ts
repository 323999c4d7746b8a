// The critical path: for each needed build the work of the longest chain that waits for it, kept up to date as goals are added.
import type { Goal } from "./goal.ts";
import { Heap } from "./heap.ts";
import type { Plan } from "./plan.ts";

/**
 * Takes newly needed goals into account. Goals are gone through from those that nothing waits for down to their inputs, each once: an input's level is
 * always below that of what needs it.
 */
export function raiseRanks(plan: Plan, added: readonly Goal[]): void {
  const queue = new Heap<Goal>((a, b) => a.level > b.level || (a.level === b.level && a.index < b.index));
  const queued = new Set<Goal>();
  const visit = (goal: Goal): void => {
    if (queued.has(goal)) return;
    queued.add(goal);
    queue.push(goal);
  };
  for (const goal of added) visit(goal);
  for (let goal = queue.pop(); goal !== undefined; goal = queue.pop()) {
    if (goal.goalClass === null || !goal.needed) continue;
    const chain = goal.below + goal.work;
    for (const input of goal.inputs) {
      if (input.below >= chain) continue;
      input.below = chain;
      if (input.inHeap) plan.queuesChanged = true;
      if (input.needed) visit(input);
    }
  }
}
