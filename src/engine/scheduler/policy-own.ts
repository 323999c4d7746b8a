// This program's own order: the longest chain of builds first, each where it ends earliest, waiting for a faster machine when that ends sooner.
import { expectedArrival, expectedEnd, loadFactorOf, sendMs, slowdownOf, usualTimes } from "./expect.ts";
import type { Goal } from "./goal.ts";
import { type GoalOrder, laneOf } from "./goal-class.ts";
import { freeSlots, type Machine, speedOf } from "./machine.ts";
import type { Plan } from "./plan.ts";
import type { Choice, Policy } from "./policy.ts";

/** Within a queue: the longest chain of expected work, then the order they came. */
export const OWN_ORDER: GoalOrder = {
  before: (a, b) => {
    if (a.boost !== b.boost) return a.boost > b.boost;
    const rankA = a.below + a.work;
    const rankB = b.below + b.work;
    return rankA === rankB ? a.index < b.index : rankA > rankB;
  },
  weigh: (goal) => (goal.boost > 0 ? Number.MAX_VALUE : goal.below + goal.work),
};

/** What a pass knows of machines, by index; kept with the plan only so that a pass allocates nothing. */
export interface Outlook {
  now: number;
  /** When the first slot is expected to be free, promises of this pass included. */
  first: Float64Array;
  /** The same for every slot, earliest first; empty for machines that nothing was promised of. */
  readonly slots: number[][];
  slowdown: Float64Array;
}

export function createOutlook(): Outlook {
  return { now: 0, first: new Float64Array(0), slots: [], slowdown: new Float64Array(0) };
}

export const ownPolicy: Policy = { waitsForArrivals: true, begin, choose, start };

function begin(plan: Plan, now: number): void {
  const { outlook, machines } = plan;
  if (outlook.first.length !== machines.length) {
    outlook.first = new Float64Array(machines.length);
    outlook.slowdown = new Float64Array(machines.length);
    while (outlook.slots.length < machines.length) outlook.slots.push([]);
  }
  outlook.now = now;
  const unmeasured = loadOfUnmeasured(machines);
  for (let index = 0; index < machines.length; index++) {
    const machine = machines[index]!;
    outlook.first[index] = firstFree(machine, now);
    outlook.slowdown[index] = slowdownOf(machine, unmeasured);
    outlook.slots[index]!.length = 0;
  }
}

/** What is not measured counts like the mean of what is: nobody is to wait for a machine only because nobody looked at it. */
function loadOfUnmeasured(machines: readonly Machine[]): number {
  let sum = 0;
  let measured = 0;
  for (let index = 0; index < machines.length; index++) {
    const load = loadFactorOf(machines[index]!);
    if (load === null) continue;
    sum += load;
    measured++;
  }
  return measured === 0 ? 1 : sum / measured;
}

function choose(plan: Plan, goal: Goal, candidates: readonly Machine[]): Choice {
  const { outlook } = plan;
  const { now, first, slowdown } = outlook;
  const usual = usualTimes(plan, goal);
  // Where nothing is known: the mean to weigh machines by, the typical length for when the slot will be free again.
  const mean = goal.isKnown ? 1 : plan.learned.mean[laneOf(goal)]!;
  const isSent = plan.options.sendRate !== null;
  let best: Machine | null = null;
  let bestEnd = Number.POSITIVE_INFINITY;
  let next: Machine | null = null;
  let nextEnd = Number.POSITIVE_INFINITY;
  for (let at = 0; at < candidates.length; at++) {
    const machine = candidates[at]!;
    const { index } = machine;
    const end = first[index]! + (isSent ? sendMs(plan, goal, machine) : 0) + usual[index]! * mean * slowdown[index]!;
    // Equal ends: a free slot before a promise, then Nix's order.
    if (end < bestEnd - 1e-6 || (best !== null && end < bestEnd + 1e-6 && isBetterTie(machine, best))) {
      next = best;
      nextEnd = bestEnd;
      best = machine;
      bestEnd = end;
    } else if (end < nextEnd) {
      next = machine;
      nextEnd = end;
    }
  }
  if (best === null) return BUSY;
  const startsAt = first[best.index]!;
  if (startsAt <= now && freeSlots(best) > 0) {
    return start(plan, goal, best, explain(goal, bestEnd - now, best, next, nextEnd - now));
  }
  promise(outlook, best, startsAt + typicalMs(plan, goal, best));
  return { type: "wait", machine: best, at: startsAt };
}

const BUSY: Choice = { type: "busy" };

function start(plan: Plan, goal: Goal, machine: Machine, explanation: string): Choice {
  const expectedMs = typicalMs(plan, goal, machine);
  promise(plan.outlook, machine, plan.outlook.now + expectedMs);
  return { type: "start", machine, expectedMs, explanation };
}

/** Typical time to send the inputs and build, in ms. */
function typicalMs(plan: Plan, goal: Goal, machine: Machine): number {
  const typical = goal.isKnown ? 1 : plan.learned.typical[laneOf(goal)]!;
  return (
    sendMs(plan, goal, machine) +
    usualTimes(plan, goal)[machine.index]! * typical * plan.outlook.slowdown[machine.index]!
  );
}

/** Counts the machine's first slot as taken until a time. */
function promise(outlook: Outlook, machine: Machine, until: number): void {
  const { index } = machine;
  const times = outlook.slots[index]!;
  if (times.length === 0) fillSlotTimes(times, machine, outlook.now);
  occupyFirst(times, until);
  outlook.first[index] = times[0]!;
}

/** When the machine's first slot is expected to be free (monotonic ms). */
function firstFree(machine: Machine, now: number): number {
  if (machine.link !== "up") return expectedArrival(machine, now);
  if (machine.running < machine.slots) return now;
  if (machine.running > machine.slots) {
    const times: number[] = [];
    fillSlotTimes(times, machine, now);
    return times[0] ?? Number.POSITIVE_INFINITY;
  }
  let earliest = Number.POSITIVE_INFINITY;
  for (const claim of machine.lanes) if (claim !== null) earliest = Math.min(earliest, expectedEnd(claim, now));
  return earliest;
}

function isBetterTie(machine: Machine, best: Machine): boolean {
  const [free, bestFree] = [freeSlots(machine) > 0, freeSlots(best) > 0];
  if (free !== bestFree) return free;
  if (speedOf(machine) !== speedOf(best)) return speedOf(machine) > speedOf(best);
  return machine.running / speedOf(machine) < best.running / speedOf(best);
}

/** When each slot of the machine is expected to be free (monotonic ms), earliest first. */
function fillSlotTimes(times: number[], machine: Machine, now: number): void {
  const from = machine.link === "up" ? now : expectedArrival(machine, now);
  for (let slot = 0; slot < machine.slots; slot++) times.push(from);
  if (machine.running === 0) return;
  // After slots were taken away more builds may run than there are slots: the earliest ends free nothing.
  for (const claim of machine.lanes) if (claim !== null) occupyFirst(times, expectedEnd(claim, now));
}

/** Occupies the earliest slot until `until`, keeping the order. */
function occupyFirst(times: number[], until: number): void {
  let at = 0;
  while (at + 1 < times.length && times[at + 1]! < until) {
    times[at] = times[at + 1]!;
    at++;
  }
  times[at] = until;
}

function explain(goal: Goal, ms: number, machine: Machine, next: Machine | null, nextMs: number): string {
  const basis = goal.isKnown ? "known from earlier builds" : "a guess, as nothing is known of it";
  const other = next === null ? "no other machine can take it" : `next best ${next.id} in ${seconds(nextMs)}`;
  const after = goal.below > 0 ? `; builds worth ${seconds(goal.below)} wait for it` : "";
  return `ends first on ${machine.id}, in ${seconds(ms)} (${basis}); ${other}${after}`;
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
