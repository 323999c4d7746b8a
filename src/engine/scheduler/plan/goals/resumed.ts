// What an earlier run had sent to a machine is looked for there before it is built anywhere: the machine may have finished it since.

import { expectedArrival } from "../policies/expect.ts";
import type { Choice, Policy } from "../policies/policy.ts";
import { freeSlots } from "../state/machine.ts";
import type { Goal, Machine } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";

/** A machine that does not answer is waited for no longer than this (ms): building again may then be quicker. */
const WAIT_MS = 20_000;

/** A busy one is looked at again after this (ms), unless something happens before. */
const LOOK_AGAIN_MS = 1000;

const SENT_THERE = "an earlier run had sent it there";

/** Whether an earlier run had sent the goal to this machine. */
export function isResumedOn(goal: Goal, machine: Machine): boolean {
  return goal.resumed !== null && goal.resumed.machine === machine.id;
}

/**
 * Whether what is found valid on a machine was built there for this goal, by this run's claim that was lost or by the earlier run that it goes on
 * with: nobody has been told of it, and its hooks have not run.
 */
export function wasBegunOn(goal: Goal, machine: Machine): boolean {
  return isResumedOn(goal, machine) || goal.begunOn.includes(machine.index);
}

/** The choice for a goal that may be finished on a machine, null when it goes the way of all others. */
export function resumedChoice(turn: Turn, policy: Policy, goal: Goal): Choice | null {
  const { plan, now } = turn;
  if (goal.resumed === null || goal.resumed.machine === null) return null;
  const machine = plan.machineById.get(goal.resumed.machine);
  if (machine === undefined || goal.goalClass?.possible.includes(machine) !== true) return null;
  // Where it was started since, that decides.
  if (goal.trouble?.has(machine.index) === true || goal.open.length > 0) return null;
  if (machine.condition.type !== "open" || machine.intake !== "open" || machine.slots === 0) return null;
  if (machine.link === "connecting") {
    if (now.mono - machine.connectingSince > WAIT_MS) return null;
    return { type: "wait", machine, at: expectedArrival(machine, now.mono), because: () => SENT_THERE };
  }
  if (machine.link !== "up") return null;
  if (freeSlots(machine) > 0) return policy.chooseAnyway(plan, goal, machine, SENT_THERE);
  return goal.resumed.isBuilt
    ? { type: "wait", machine, at: now.mono + LOOK_AGAIN_MS, because: () => SENT_THERE }
    : null;
}
