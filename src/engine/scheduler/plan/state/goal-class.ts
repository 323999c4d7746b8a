// Goals that match the same machines share a class: matching is done once for all of them, and each class has its own queue.

import type { MachineId } from "../../../events/ids.ts";
import type { GoalSpec } from "../fact.ts";
import type { PlanOptions } from "../options.ts";
import { isContentAddressed, type Refusal, refusalOf } from "../queues/match.ts";
import { ReadyQueue } from "../queues/ready-queue.ts";
import { wantsSlot } from "./goal.ts";
import { isArriving, isUsable, speedOf } from "./machine.ts";
import type { Goal, GoalClass, Machine } from "./records.ts";

/** Ways a goal's length is guessed: known durations, and four kinds of goals nothing is known of. */
export const GUESSES = 5;

/** The class of a goal; goals with the same key match the same machines. */
export function classKey(goal: GoalSpec): string {
  const features = [...goal.requiredFeatures].sort().join(" ");
  return `${goal.system}|${features}|${goal.preferLocalBuild ? "local" : ""}|${isContentAddressed(goal.addressing) ? "ca" : ""}`;
}

/** The order of goals in a queue, and a weight that agrees with it. */
export interface GoalOrder {
  readonly before: (a: Goal, b: Goal) => boolean;
  readonly weigh: (goal: Goal) => number;
}

export function createGoalClass(key: string, sample: GoalSpec, order: GoalOrder): GoalClass {
  return {
    key,
    sample,
    possible: [],
    quickest: null,
    usable: [],
    arriving: [],
    stamp: -1,
    isUnconnected: true,
    queues: Array.from({ length: GUESSES }, () => new ReadyQueue(order.before, order.weigh)),
    pass: { isOpen: false, places: new Array<number>(GUESSES).fill(0), left: 0, setsCutoff: false },
    cutoff: Number.NEGATIVE_INFINITY,
    aside: new Set(),
    members: 0,
    told: null,
    toldAt: Number.NEGATIVE_INFINITY,
    reason: null,
    reasonStamp: -1,
  };
}

/** Why each machine that can never take the class's goals cannot. */
export function refusals(
  goalClass: GoalClass,
  machines: readonly Machine[],
  options: PlanOptions,
): { readonly machine: MachineId; readonly refusal: Refusal }[] {
  return machines.flatMap((machine) => {
    const refusal = lastingRefusal(goalClass.sample, machine, options);
    return refusal === null ? [] : [{ machine: machine.id, refusal }];
  });
}

/** The lasting reason of one machine, null when it may take the goal some time. */
export function lastingRefusal(goal: GoalSpec, machine: Machine, options: PlanOptions): Refusal | null {
  const refusal = refusalOf(goal, machine.spec, options);
  if (refusal !== null) return refusal;
  if (machine.condition.type === "off") return { type: "off", reason: machine.condition.reason };
  // Slots that the user took away may come back.
  return machine.slots === 0 && machine.spec.slots === 0 ? { type: "noSlots" } : null;
}

/** Brings a class up to date with the machines; `stamp` numbers their state. */
export function refreshClass(
  goalClass: GoalClass,
  machines: readonly Machine[],
  options: PlanOptions,
  stamp: number,
): void {
  if (goalClass.stamp === stamp) return;
  goalClass.stamp = stamp;
  goalClass.isUnconnected = true;
  let possible = machines.filter((machine) => lastingRefusal(goalClass.sample, machine, options) === null);
  // A local machine that can take what prefers it takes all of it (`preferLocalBuild`).
  if (goalClass.sample.preferLocalBuild) {
    const local = possible.filter((machine) => machine.spec.isLocal && machine.intake === "open" && machine.slots > 0);
    if (local.length > 0) possible = local;
  }
  goalClass.possible = possible;
  goalClass.quickest = null;
  for (const machine of possible) {
    if (goalClass.quickest === null || speedOf(machine) > speedOf(goalClass.quickest)) goalClass.quickest = machine;
  }
  goalClass.usable = possible.filter(isUsable);
  noteArriving(goalClass);
  const aside = [...goalClass.aside];
  goalClass.aside.clear();
  for (const goal of aside) enqueue(goalClass, goal, guessOf(goal));
}

/** Some of its machines may just have begun to be connected to. */
export function noteArriving(goalClass: GoalClass): void {
  goalClass.arriving = goalClass.possible.filter(isArriving);
}

/** What a goal's length is guessed by: 0 for known durations, else by whether it has inputs and whether anything waits for it. */
export function guessOf(goal: Goal): number {
  if (goal.isKnown) return 0;
  return 1 + (goal.spec.inputs.length > 0 ? 2 : 0) + (goal.below > 0 ? 1 : 0);
}

/** Puts a goal that wants a slot into its queue, once. */
export function enqueue(goalClass: GoalClass, goal: Goal, guess: number): void {
  if (goal.queuedIn === goalClass || !wantsSlot(goal)) return;
  goal.queuedIn = goalClass;
  goalClass.queues[guess]!.add(goal);
}
