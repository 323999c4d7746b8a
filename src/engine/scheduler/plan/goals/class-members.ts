// Which class a goal belongs to, and how it changes to another.

import type { GoalSpec } from "../fact.ts";
import { NIX_ORDER } from "../policies/policy-nix.ts";
import { OWN_ORDER } from "../policies/policy-own.ts";
import { classKey, createGoalClass, enqueue, guessOf, refreshClass } from "../state/goal-class.ts";
import { type Plan, reviewAll } from "../state/plan.ts";
import type { Goal } from "../state/records.ts";

/** Makes a goal a member of the class of goals like `spec`, which is its own unless said otherwise. */
export function joinClass(plan: Plan, goal: Goal, spec: GoalSpec = goal.spec): void {
  const key = classKey(spec);
  let goalClass = plan.classes.get(key);
  if (goalClass === undefined) {
    goalClass = createGoalClass(key, spec, plan.options.policy === "nix" ? NIX_ORDER : OWN_ORDER);
    plan.classes.set(key, goalClass);
    plan.classList.push(goalClass);
  }
  refreshClass(goalClass, plan.machines, plan.options, plan.machineStamp);
  // Its machines are connected when the queues are gone through next.
  if (goalClass.members === 0) goalClass.isUnconnected = true;
  goalClass.members += 1;
  goal.goalClass = goalClass;
  reviewAll(plan);
}

/** What prefers the local machine but cannot be built there goes where it can. */
export function giveUpLocal(plan: Plan, goal: Goal): void {
  if (goal.goalClass !== null) goal.goalClass.members -= 1;
  joinClass(plan, goal, { ...goal.spec, preferLocalBuild: false });
  if (goal.goalClass !== null) enqueue(goal.goalClass, goal, guessOf(goal));
}
