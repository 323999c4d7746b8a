// This program's own order: the longest chain of builds first, each where it ends earliest, waiting for a faster machine when that ends sooner.
import type { MachineId } from "../events/ids.ts";
import { expectedArrival, expectedEnd, meanOn, sendMs, typicalOn } from "./expect.ts";
import type { Goal } from "./goal.ts";
import { freeSlots, type Machine, speedOf } from "./machine.ts";
import type { Plan } from "./plan.ts";
import type { Chooser, Choice } from "./policy.ts";

/** Within a queue: the longest chain of expected work, then the order they came. */
export function ownBefore(a: Goal, b: Goal): boolean {
  if (a.boost !== b.boost) return a.boost > b.boost;
  const rankA = a.below + a.work;
  const rankB = b.below + b.work;
  return rankA === rankB ? a.index < b.index : rankA > rankB;
}

/** A pass of the policy at a time (monotonic ms). */
export function ownChooser(plan: Plan, now: number): Chooser {
  // By machine index: when each slot is expected to be free, promises of this pass included.
  const slots: (Float64Array | undefined)[] = [];
  const freeAt: FreeAt = (machine) => (slots[machine.index] ??= slotTimes(plan, machine, now));
  return {
    waitsForArrivals: true,
    choose: (goal, candidates) => choose(plan, goal, candidates, now, freeAt),
  };
}

type FreeAt = (machine: Machine) => Float64Array;

function choose(plan: Plan, goal: Goal, candidates: readonly Machine[], now: number, freeAt: FreeAt): Choice {
  const resumed = resumedOn(plan, goal, candidates);
  if (resumed !== null) {
    const send = sendMs(plan, goal, resumed);
    occupyFirst(freeAt(resumed), now + send + typicalOn(plan, goal, resumed));
    const explanation = "an earlier run was interrupted while it built there";
    return { type: "start", machine: resumed, sendMs: send, explanation };
  }
  let best: Machine | null = null;
  let bestEnd = Number.POSITIVE_INFINITY;
  let next: Machine | null = null;
  let nextEnd = Number.POSITIVE_INFINITY;
  for (const machine of candidates) {
    const end = freeAt(machine)[0]! + sendMs(plan, goal, machine) + meanOn(plan, goal, machine);
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
  if (best === null) return { type: "busy" };
  const times = freeAt(best);
  const startsAt = times[0]!;
  const send = sendMs(plan, goal, best);
  occupyFirst(times, startsAt + send + typicalOn(plan, goal, best));
  if (startsAt > now || freeSlots(best) === 0) return { type: "wait", machine: best, at: startsAt };
  const explanation = explain(goal, bestEnd - now, best, next, nextEnd - now);
  return { type: "start", machine: best, sendMs: send, explanation };
}

function isBetterTie(machine: Machine, best: Machine): boolean {
  const [free, bestFree] = [freeSlots(machine) > 0, freeSlots(best) > 0];
  if (free !== bestFree) return free;
  if (speedOf(machine) !== speedOf(best)) return speedOf(machine) > speedOf(best);
  return machine.running / speedOf(machine) < best.running / speedOf(best);
}

function resumedOn(plan: Plan, goal: Goal, candidates: readonly Machine[]): Machine | null {
  const id: MachineId | undefined = plan.options.resumed.get(goal.id);
  if (id === undefined || goal.failures.length > 0) return null;
  return candidates.find((machine) => machine.id === id && freeSlots(machine) > 0) ?? null;
}

/** When each slot of the machine is expected to be free (monotonic ms), earliest first. */
function slotTimes(plan: Plan, machine: Machine, now: number): Float64Array {
  const times = new Float64Array(machine.slots);
  if (machine.link !== "up") return times.fill(expectedArrival(machine, now));
  times.fill(now);
  if (machine.running === 0) return times;
  // After slots were taken away more builds may run than there are slots: the earliest ends free nothing.
  for (const claim of machine.lanes) if (claim !== null) occupyFirst(times, expectedEnd(plan, claim, now));
  return times;
}

/** Occupies the earliest slot until `until`, keeping the order. */
function occupyFirst(times: Float64Array, until: number): void {
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
