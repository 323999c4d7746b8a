// This program's own order: the longest chain of builds first, each on the free slot where it ends first; a faster machine that is busy is waited for
// only where the run would otherwise end later, the gain is worth the doubt, and not beyond the time at which the wait has stopped to pay.

import { candidatesFor } from "../queues/eligibility.ts";
import { type GoalOrder, guessOf } from "../state/goal-class.ts";
import { freeSlots, speedOf } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal, Machine } from "../state/records.ts";
import { recordedMs, sendMs } from "./expect.ts";
import { gainOf, type Learned, spreadOf, typicalRatio } from "./learned.ts";
import { chainBelow, expectedOver, firstFree, lookAhead, promise } from "./outlook.ts";
import { doubtedMs } from "./pace.ts";
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

/** A machine that is faster by less than this is not worth a thought. */
const FASTER = 1.2;

/** A gain must be more than what an idle slot costs by this share, and by this share of the time waited. */
const SLOT_MARGIN = 0.2;
const TIME_MARGIN = 0.005;

/** A wait goes on for at most so many times what it is expected to pay for: the awaited build may be a long one. */
const PATIENCE = 8;

/** A machine that is being connected to is waited for no longer than this (ms). */
const ARRIVAL_MS = 6000;

/** So many busy machines that are faster are thought of, the fastest of them. */
const FASTER_ONES = 10;

/** This many free machines are looked at closely, the others by their pace alone. */
const SHORTLIST = 8;

export const ownPolicy: Policy = { waitsForArrivals: false, beginPass: lookAhead, choose, chooseAnyway: startOn };

function choose(plan: Plan, goal: Goal, candidates: readonly Machine[]): Choice {
  const free = bestFree(plan, goal, candidates);
  if (free === null) return BUSY;
  const better = arrivingSoon(plan, goal, free) ?? worthWaitingFor(plan, goal, candidates, free);
  if (better === null) return startOn(plan, goal, free.machine, explain(plan, goal, free));
  promise(plan, better.machine, better.endsAt);
  const { machine, startsAt, endsAt } = better;
  return { type: "wait", machine, at: startsAt, because: () => explainWait(plan, goal, free, endsAt) };
}

const BUSY: Choice = { type: "busy" };

interface Free {
  readonly machine: Machine;
  /** Sending and building, in ms. */
  readonly takesMs: number;
  readonly next: { readonly machine: Machine; readonly takesMs: number } | null;
}

/** The machine with a free slot where the goal ends first; equal ends in Nix's order. */
function bestFree(plan: Plan, goal: Goal, candidates: readonly Machine[]): Free | null {
  const shortlist = shortlisted(candidates);
  let best: Machine | null = null;
  let bestMs = Number.POSITIVE_INFINITY;
  let next: Machine | null = null;
  let nextMs = Number.POSITIVE_INFINITY;
  for (const machine of shortlist) {
    const takes = takesMs(plan, goal, machine);
    if (takes < bestMs - 1e-6 || (best !== null && takes < bestMs + 1e-6 && isBetterTie(machine, best))) {
      next = best;
      nextMs = bestMs;
      best = machine;
      bestMs = takes;
    } else if (takes < nextMs) {
      next = machine;
      nextMs = takes;
    }
  }
  if (best === null) return null;
  return { machine: best, takesMs: bestMs, next: next === null ? null : { machine: next, takesMs: nextMs } };
}

/** Those with a free slot, the fastest first; of many only some, half of them with nothing to do. */
function shortlisted(candidates: readonly Machine[]): readonly Machine[] {
  const list: Machine[] = [];
  let busy = 0;
  for (const machine of candidates) {
    if (freeSlots(machine) === 0) continue;
    if (machine.running > 0 && ++busy > SHORTLIST / 2) continue;
    list.push(machine);
    if (list.length === SHORTLIST) break;
  }
  return list;
}

/** Sending the inputs and building, in ms. */
function takesMs(plan: Plan, goal: Goal, machine: Machine): number {
  return sendMs(plan, goal, machine) + buildsMs(plan, goal, machine);
}

function buildsMs(plan: Plan, goal: Goal, machine: Machine): number {
  const { outlook, learned } = plan;
  // What is recorded holds for the machine as it was then; what its builds and its load say now comes on top.
  const now = speedOf(machine) / outlook.pace[machine.index]!;
  return recordedMs(plan, goal, machine) * typicalRatio(learned, guessOf(goal)) * now;
}

interface Better {
  readonly machine: Machine;
  readonly startsAt: number;
  readonly endsAt: number;
}

/**
 * A machine that is just being connected to counts as if it were there, for a moment: which machines answer first is chance, and the manual's order
 * holds. What is over sooner than that does not wait.
 */
function arrivingSoon(plan: Plan, goal: Goal, free: Free): Better | null {
  const arriving = goal.goalClass?.arriving ?? [];
  if (arriving.length === 0) return null;
  const { now, pace } = plan.outlook;
  let best: Better | null = null;
  let since = 0;
  for (const machine of candidatesFor(plan, goal, arriving)) {
    if (now - machine.connectingSince >= ARRIVAL_MS || pace[machine.index]! <= pace[free.machine.index]!) continue;
    const startsAt = firstFree(plan, machine);
    const endsAt = startsAt + takesMs(plan, goal, machine);
    if (endsAt >= now + free.takesMs || (best !== null && endsAt >= best.endsAt)) continue;
    best = { machine, startsAt, endsAt };
    since = machine.connectingSince;
  }
  if (best !== null) goal.patience ??= since + ARRIVAL_MS;
  return best !== null && now < (goal.patience ?? now) ? best : null;
}

/** A busy machine that is worth waiting for although another one has a free slot. */
function worthWaitingFor(plan: Plan, goal: Goal, candidates: readonly Machine[], free: Free): Better | null {
  const { outlook } = plan;
  const { now, pace } = outlook;
  const enough = pace[free.machine.index]! * FASTER;
  const spread = spreadOf(plan.learned, goal.isKnown);
  const mean = Math.exp(Math.min(spread * spread, 2) / 2);
  let best: Better | null = null;
  let bestMs = 0;
  let left = FASTER_ONES;
  const consider = (machine: Machine): void => {
    const startsAt = firstFree(plan, machine);
    const takes = doubtedMs(takesMs(plan, goal, machine), machine, free.takesMs, free.machine);
    const endsAt = startsAt + takes * mean;
    if (best !== null && endsAt >= best.endsAt) return;
    best = { machine, startsAt, endsAt };
    bestMs = takes;
  };
  for (const machine of candidates) {
    if (pace[machine.index]! <= enough || left === 0) break;
    if (hasFreeSlot(machine)) continue;
    left -= 1;
    consider(machine);
  }
  const better = best as Better | null;
  if (better === null || better.startsAt - now >= free.takesMs * mean) return null;
  const room = expectedOver(plan) - chainBelow(plan, goal);
  const { startsAt } = better;
  const gain = gainOf(
    plan.learned,
    guessOf(goal),
    { startsAt: now, takesMs: free.takesMs },
    { startsAt, takesMs: bestMs },
    room,
  );
  const idle = ((1 + SLOT_MARGIN) * pace[free.machine.index]!) / outlook.capacity + TIME_MARGIN;
  const surplus = gain.ms - idle * (startsAt - now);
  if (surplus <= 0) return null;
  goal.patience ??= startsAt + (PATIENCE * surplus) / (gain.chance + idle);
  return now < goal.patience ? better : null;
}

function hasFreeSlot(machine: Machine): boolean {
  return freeSlots(machine) > 0;
}

function startOn(plan: Plan, goal: Goal, machine: Machine, explanation: string): Choice {
  const sending = sendMs(plan, goal, machine);
  return { type: "start", machine, sendMs: sending, recordedMs: recordedMs(plan, goal, machine), explanation };
}

function isBetterTie(machine: Machine, best: Machine): boolean {
  if (speedOf(machine) !== speedOf(best)) return speedOf(machine) > speedOf(best);
  return machine.running / speedOf(machine) < best.running / speedOf(best);
}

function explain(plan: Plan, goal: Goal, { machine, takesMs: takes, next }: Free): string {
  const other = next === null ? "no other machine is free" : `next best ${next.machine.id} in ${seconds(next.takesMs)}`;
  const after = goal.below > 0 ? `; builds worth ${seconds(goal.below)} wait for it` : "";
  return `ends first on ${machine.id}, in ${seconds(takes)} (${evidence(plan, goal)}); ${other}${after}`;
}

function explainWait({ outlook: { now }, learned }: Plan, goal: Goal, free: Free, endsAt: number): string {
  const until = goal.patience === null ? "" : `; not for longer than ${seconds(goal.patience - now)}`;
  const there = `ends there in ${seconds(endsAt - now)}, on ${free.machine.id} in ${seconds(free.takesMs)} or later`;
  return `${there}, and the run with it (${factor(learned, goal)} either way)${until}`;
}

/** What the expected length comes from, and how far off it may be. */
function evidence({ learned }: Plan, goal: Goal): string {
  return goal.isKnown
    ? `known from earlier builds, within ${factor(learned, goal)}`
    : `a guess, as nothing is known of it, within ${factor(learned, goal)}`;
}

function factor(learned: Learned, goal: Goal): string {
  return `${Math.exp(spreadOf(learned, goal.isKnown)).toFixed(1)} times`;
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
