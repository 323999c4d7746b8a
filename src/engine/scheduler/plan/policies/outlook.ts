// What a pass over the queues expects of machines and of the run: paces, when slots will be free, when everything will be over.

import { guessOf } from "../state/goal-class.ts";
import { isUsable } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal, Machine } from "../state/records.ts";
import { expectedArrival, expectedEnd, loadFactorOf, slowdownOf } from "./expect.ts";
import { meanRatio, noteOverdue, typicalRatio } from "./learned.ts";
import { paceOf } from "./pace.ts";

/** Paces are worked out anew at every so many passes, or when machines come and go or say how loaded they are. */
const EVERY_PASSES = 8;

/** Begins a pass. */
export function lookAhead(plan: Plan, now: number): void {
  const { outlook, machines } = plan;
  if (outlook.pace.length !== machines.length) {
    outlook.pace = new Float64Array(machines.length);
    while (outlook.slots.length < machines.length) outlook.slots.push(null);
    outlook.stamp = -1;
  }
  outlook.now = now;
  for (const index of outlook.filled) outlook.slots[index] = null;
  outlook.filled.length = 0;
  // What single builds change is taken up now and then: it is little, and going through all machines costs more than a decision.
  const isStale = outlook.stamp !== plan.machineStamp || plan.counts.passes - outlook.pass >= EVERY_PASSES;
  if (!isStale) return;
  outlook.stamp = plan.machineStamp;
  outlook.pass = plan.counts.passes;
  const unmeasured = loadOfUnmeasured(machines);
  outlook.topPace = 0;
  outlook.capacity = 0;
  outlook.usableSlots = 0;
  for (let index = 0; index < machines.length; index++) {
    const machine = machines[index]!;
    const pace = paceOf(machine) / slowdownOf(machine, unmeasured);
    outlook.pace[index] = pace;
    if (!isUsable(machine)) continue;
    if (pace > outlook.topPace) outlook.topPace = pace;
    outlook.capacity += pace * machine.slots;
    outlook.usableSlots += machine.slots;
  }
  for (const goalClass of plan.classList) goalClass.usable = fastestFirst(plan, goalClass.usable);
}

function fastestFirst({ outlook: { pace } }: Plan, machines: readonly Machine[]): readonly Machine[] {
  return [...machines].sort(
    (a, b) => pace[b.index]! - pace[a.index]! || a.running / a.slots - b.running / b.slots || a.index - b.index,
  );
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

/** When the machine's first slot is expected to be free (monotonic ms). */
export function firstFree(plan: Plan, machine: Machine): number {
  return slotTimes(plan, machine)[0] ?? Number.POSITIVE_INFINITY;
}

/** Counts the machine's first slot as taken until a time. */
export function promise(plan: Plan, machine: Machine, until: number): void {
  occupyFirst(slotTimes(plan, machine), until);
}

/** When each slot of the machine is expected to be free, earliest first. */
function slotTimes(plan: Plan, machine: Machine): number[] {
  const { outlook } = plan;
  const known = outlook.slots[machine.index];
  if (known !== null && known !== undefined) return known;
  const from = machine.link === "up" ? outlook.now : expectedArrival(machine, outlook.now);
  const times = new Array<number>(machine.slots).fill(from);
  // After slots were taken away more builds may run than there are slots: the earliest ends free nothing.
  for (const claim of machine.lanes) if (claim !== null) occupyFirst(times, expectedEnd(plan, claim, outlook.now));
  outlook.slots[machine.index] = times;
  outlook.filled.push(machine.index);
  return times;
}

/** Occupies the earliest slot until `until`, keeping the order. */
function occupyFirst(times: number[], until: number): void {
  let at = 0;
  while (at + 1 < times.length && times[at + 1]! < until) {
    times[at] = times[at + 1]!;
    at++;
  }
  if (times.length > 0) times[at] = until;
}

/** Time of the chain of builds that waits for a goal, on the fastest machine there is, in ms. */
export function chainBelow({ learned, outlook }: Plan, goal: Goal): number {
  return outlook.topPace === 0 ? 0 : (goal.below * typicalRatio(learned, guessOf(goal))) / outlook.topPace;
}

/** The end is worked out anew when this share of the time up to it has passed, or so many passes for each slot in use. */
const OVER_SHARE = 0.02;
const OVER_PASSES = 1 / 16;

/** When the run could be over (monotonic ms): never before its longest chain is, nor before all slots together have done all work. */
export function expectedOver(plan: Plan): number {
  const { outlook, counts, claims } = plan;
  const { now, over, overAt } = outlook;
  const isFresh =
    now - overAt <= OVER_SHARE * (over - overAt) && counts.passes - outlook.overPass <= OVER_PASSES * claims.size;
  if (isFresh && over > now) return over;
  const left = workLeft(plan);
  const spread = outlook.capacity === 0 ? 0 : left.workMs / outlook.capacity;
  outlook.over = now + Math.max(left.chainMs, spread);
  outlook.overAt = now;
  outlook.overPass = counts.passes;
  return outlook.over;
}

/** What is left to do, by what is expected now. */
export interface WorkLeft {
  /** Work at pace 1, of running builds and of those that have not begun, in ms. */
  readonly workMs: number;
  /** Time of the longest chain, in ms. */
  readonly chainMs: number;
  readonly running: number;
}

/** Goes through running builds and the heads of the queues; running builds that are overdue are learned from on the way. */
export function workLeft(plan: Plan): WorkLeft {
  const { outlook, progress, learned } = plan;
  const { now, topPace } = outlook;
  let chainMs = 0;
  let work = 0;
  let running = 0;
  let known = progress.knownWorkLeft;
  let guessed = progress.guessedWorkLeft;
  const overdue = { known: { count: 0, sum: 0 }, guessed: { count: 0, sum: 0 } };
  for (const machine of plan.machines) {
    if (machine.running === 0) continue;
    for (const claim of machine.lanes) {
      if (claim === null) continue;
      const { goal } = claim;
      const left = expectedEnd(plan, claim, now) - now;
      running += 1;
      work += left * outlook.pace[machine.index]!;
      chainMs = Math.max(chainMs, left + chainBelow(plan, goal));
      if (goal.isKnown) known -= goal.work;
      else guessed -= goal.work;
      const late = (now - claim.startedAt - claim.sendMs) / claim.recordedMs;
      const kind = goal.isKnown ? overdue.known : overdue.guessed;
      if (late <= typicalRatio(learned, guessOf(goal))) continue;
      kind.count += 1;
      kind.sum += Math.log(late);
    }
  }
  noteOverdue(learned, overdue.known, overdue.guessed);
  for (const goalClass of plan.classList) {
    for (let guess = 0; guess < goalClass.queues.length; guess++) {
      const head = goalClass.queues[guess]!.at(0);
      if (head === undefined || topPace === 0) continue;
      chainMs = Math.max(chainMs, ((head.work + head.below) * typicalRatio(learned, guess)) / topPace);
    }
  }
  const waiting = Math.max(0, known) * meanRatio(learned, 0) + Math.max(0, guessed) * meanRatio(learned, 1);
  return { workMs: work + waiting, chainMs, running };
}
