// Nix's own order: goals as they come, machines by load over speed factor (build-remote.cc, Nix 2.8 to 2.34).

import type { GoalOrder } from "../state/goal-class.ts";
import { freeSlots, isArriving, speedOf } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal, Machine } from "../state/records.ts";
import { expectedArrival, recordedMs } from "./expect.ts";
import type { Choice, Policy } from "./policy.ts";

/** Goals in the order they came, which is depth first from the targets. */
export const NIX_ORDER: GoalOrder = {
  before: (a, b) => (a.boost === b.boost ? a.index < b.index : a.boost > b.boost),
  weigh: (goal) => (goal.boost > 0 ? Number.MAX_VALUE : -goal.index),
};

/** Nix chooses a machine and then connects to it; here all are connected to at once, and none is waited for longer than this (ms). */
const ARRIVAL_MS = 5000;

/**
 * Among machines with a free slot: the lowest load over speed factor, then the higher speed factor, then the lower load, then the earlier in the list.
 * The local machine comes after the others, as Nix asks the build hook first and builds itself when that declines. A machine that is being connected
 * to counts as if it were there already, for a moment.
 */
export const nixPolicy: Policy = {
  waitsForArrivals: true,
  beginPass,
  choose,
  chooseAnyway: startOn,
};

/** In a pass of this policy the outlook's numbers are the slots that goals wait for on machines that are not there yet. */
function beginPass({ outlook, machines }: Plan, now: number): void {
  outlook.now = now;
  if (outlook.pace.length === machines.length) outlook.pace.fill(0);
  else outlook.pace = new Float64Array(machines.length);
}

function choose(plan: Plan, goal: Goal, candidates: readonly Machine[]): Choice {
  const { now, pace: first } = plan.outlook;
  let best: Machine | null = null;
  for (const machine of candidates) {
    const isFree = freeSlots(machine) > 0 || isWorthWaiting(machine, first[machine.index]!, now);
    if (isFree && (best === null || comesBefore(machine, best, first))) best = machine;
  }
  if (best === null) return { type: "busy" };
  if (best.link !== "up") {
    first[best.index]! += 1;
    return { type: "wait", machine: best, at: expectedArrival(best, now), because: () => "it is being connected to" };
  }
  const explanation = `lowest load over speed factor: ${best.running} of ${best.slots} slots busy, speed factor ${speedOf(best)}`;
  return startOn(plan, goal, best, explanation);
}

function startOn(plan: Plan, goal: Goal, machine: Machine, explanation: string): Choice {
  return { type: "start", machine, sendMs: 0, recordedMs: recordedMs(plan, goal, machine), explanation };
}

function isWorthWaiting(machine: Machine, promised: number, now: number): boolean {
  return isArriving(machine) && promised < machine.slots && now - machine.connectingSince < ARRIVAL_MS;
}

function comesBefore(a: Machine, b: Machine, promised: Float64Array): boolean {
  if (a.spec.isLocal !== b.spec.isLocal) return b.spec.isLocal;
  if (a.streak !== b.streak && Math.max(a.streak, b.streak) > 1) return a.streak < b.streak;
  const [busyA, busyB] = [a.running + promised[a.index]!, b.running + promised[b.index]!];
  const loadA = busyA / speedOf(a);
  const loadB = busyB / speedOf(b);
  if (loadA !== loadB) return loadA < loadB;
  if (speedOf(a) !== speedOf(b)) return speedOf(a) > speedOf(b);
  if (busyA !== busyB) return busyA < busyB;
  return a.index < b.index;
}
