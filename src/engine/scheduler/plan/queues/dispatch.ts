// Goes through the queues, most urgent goals first, and starts what can start; says of what is left why it waits.

import type { ClaimId } from "../../../events/ids.ts";
import { connectNeeded } from "../failures/health.ts";
import { giveUpLocal } from "../goals/class-members.ts";
import { failUnmatchable } from "../goals/finish.ts";
import { isResumedOn, resumedChoice } from "../goals/resumed.ts";
import { expectedMsFor } from "../policies/expect.ts";
import { type Choice, type Policy, urgencyOf } from "../policies/policy.ts";
import { nixPolicy } from "../policies/policy-nix.ts";
import { ownPolicy } from "../policies/policy-own.ts";
import { comparisonFor, freeRoundNumber } from "../rounds/round-rules.ts";
import { restartRounds } from "../rounds/rounds.ts";
import { isUndecided, nextRound, wantsSlot } from "../state/goal.ts";
import { enqueue, guessOf, noteArriving, refreshClass } from "../state/goal-class.ts";
import { freeSlots, lowestFreeSlot } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Claim, Goal, GoalClass, Machine } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";
import { candidatesFor, goalRefusal, lastingRefusals } from "./eligibility.ts";
import { tellWaiting, tellWaitingForMachine } from "./waiting.ts";

/** Goals of one class looked at in a pass while slots are free: those behind rarely make better use of a slot, and the cost stays bounded. */
const LOOK_AHEAD = 24;

/** The same in a pass that looks only at slots just freed. */
const SHORT_LOOK_AHEAD = 6;

/** Passes that look only at slots just freed, before one looks at all of them again: what comes into view may suit a slot that was passed by. */
const SHORT_PASSES = 16;

/** A choice to wait for a machine is not reviewed sooner, unless something happens. */
const REVIEW_AFTER_MS = 500;

/** Whether nothing may start now. */
export function startsNothing(plan: Plan): boolean {
  return plan.halt !== null || plan.paused || plan.finished || isHookBlocking(plan);
}

/** Whether a blocking post-build hook keeps builds from starting. */
export function isHookBlocking(plan: Plan): boolean {
  return plan.options.hook.type === "blocking" && plan.hooks.size > 0;
}

/** Starts every build that can start now. */
export function dispatch(turn: Turn): void {
  const { plan } = turn;
  let isConnecting = false;
  for (const goalClass of plan.classList) {
    refreshClass(goalClass, plan.machines, plan.options, plan.machineStamp);
    if (goalClass.isUnconnected) isConnecting = connectNeeded(turn, goalClass) || isConnecting;
  }
  if (isConnecting) for (const goalClass of plan.classList) noteArriving(goalClass);
  if (plan.queuesChanged) reorderQueues(plan);
  if (!startsNothing(plan)) {
    startSubstitutions(turn);
    passOver(turn, plan.options.policy === "nix" ? nixPolicy : ownPolicy);
  }
  tellWaiting(turn);
}

function startSubstitutions(turn: Turn): void {
  const { plan } = turn;
  for (const goal of plan.toSubstitute.splice(0)) {
    if (goal.phase.type !== "toSubstitute") continue;
    goal.phase = { type: "substituting", verdict: null };
    turn.commands.push({ type: "startSubstitution", goal: goal.id });
    const paths = goal.spec.outputPaths.map((output) => output.path);
    turn.events.push({ type: "substitutionStarted", goal: goal.id, paths, from: "" });
  }
}

function passOver(turn: Turn, policy: Policy): void {
  const { plan } = turn;
  plan.counts.passes += 1;
  const isShort = plan.review === "freed" && plan.counts.passes % SHORT_PASSES !== 0;
  plan.review = "freed";
  if (!isShort) plan.reviewAt = Number.POSITIVE_INFINITY;
  const isOpen = isShort ? hasFreed : hasFree;
  if (!openQueues(plan, isOpen, isShort)) return;
  policy.beginPass(plan, turn.now.mono);
  const front: Front = { goalClass: null, guess: 0, goal: null, urgency: 0 };
  while (!startsNothing(plan)) {
    mostUrgent(plan, front);
    const { goalClass, guess, goal } = front;
    if (goalClass === null || goal === null) break;
    const { pass } = goalClass;
    const seen = look(turn, policy, goalClass, goal);
    if (seen === "started") {
      for (const each of plan.classList) each.pass.isOpen &&= isOpen(each);
      // Another round of it may start, too.
      if (wantsSlot(goal)) continue;
      goal.queuedIn = null;
    } else if (seen === "waits") pass.left -= 1;
    pass.places[guess]! += 1;
    if (pass.left > 0) continue;
    pass.isOpen = false;
    if (pass.setsCutoff) goalClass.cutoff = front.urgency;
  }
  closeQueues(plan);
}

/** Says which queues a pass goes through; false when there is none. */
function openQueues(plan: Plan, isOpen: (goalClass: GoalClass) => boolean, isShort: boolean): boolean {
  let any = false;
  for (const goalClass of plan.classList) {
    const { pass } = goalClass;
    pass.isOpen = isOpen(goalClass);
    // With a slot where there was none, goals that join matter again, also those that come after this pass.
    pass.setsCutoff = !isShort || (goalClass.cutoff === Number.POSITIVE_INFINITY && pass.isOpen);
    if (pass.setsCutoff) goalClass.cutoff = pass.isOpen ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    pass.places.fill(0);
    pass.left = isShort ? SHORT_LOOK_AHEAD : LOOK_AHEAD;
    any ||= pass.isOpen;
  }
  return any;
}

function closeQueues(plan: Plan): void {
  for (const goalClass of plan.classList) {
    const { queues, pass } = goalClass;
    for (let guess = 0; guess < queues.length; guess++) {
      if (pass.places[guess]! > 0) queues[guess]!.sift((goal) => goal.queuedIn === goalClass);
    }
    if (!hasFree(goalClass)) goalClass.cutoff = Number.POSITIVE_INFINITY;
  }
  for (const machine of plan.machines) machine.hasFreed = false;
}

/** Looks at one goal: a round of it was started, or it waits on (for a machine that no other goal waits for), or it has left the queue. */
function look(
  turn: Turn,
  policy: Policy,
  goalClass: GoalClass,
  goal: Goal,
): "started" | "waits" | "waitsForItsOwn" | "left" {
  const { plan } = turn;
  // A goal may have gone to another class, or ended, and still stand here.
  if (goal.queuedIn !== goalClass || !wantsSlot(goal)) {
    if (goal.queuedIn === goalClass) goal.queuedIn = null;
    return "left";
  }
  const candidates = candidatesFor(plan, goal, inQuestion(goalClass, policy));
  if (candidates.length === 0) {
    goal.queuedIn = null;
    setAside(turn, goalClass, goal);
    return "left";
  }
  const resumed = resumedChoice(turn, policy, goal);
  const choice = resumed ?? policy.choose(plan, goal, candidates);
  if (choice.type === "start") {
    assign(turn, goal, choice);
    return "started";
  }
  if (choice.type === "wait") {
    // At the latest when its patience ends it is looked at again.
    const dueAt = Math.min(choice.at, goal.patience ?? choice.at);
    plan.reviewAt = Math.min(plan.reviewAt, Math.max(dueAt, turn.now.mono + REVIEW_AFTER_MS));
    tellWaitingForMachine(turn, goal, choice);
  }
  return resumed === null ? "waits" : "waitsForItsOwn";
}

function inQuestion(goalClass: GoalClass, policy: Policy): readonly Machine[] {
  const { usable, arriving } = goalClass;
  return policy.waitsForArrivals && arriving.length > 0 ? [...usable, ...arriving] : usable;
}

/** The most urgent goal that a pass has not looked at. */
interface Front {
  goalClass: GoalClass | null;
  guess: number;
  goal: Goal | null;
  urgency: number;
}

function mostUrgent(plan: Plan, front: Front): void {
  front.goalClass = null;
  for (const goalClass of plan.classList) {
    const { queues, pass } = goalClass;
    if (!pass.isOpen) continue;
    for (let guess = 0; guess < queues.length; guess++) {
      const goal = queues[guess]!.at(pass.places[guess]!);
      if (goal === undefined) continue;
      const urgency = urgencyOf(plan, goal, guess);
      if (front.goalClass !== null && urgency <= front.urgency) continue;
      front.goalClass = goalClass;
      front.guess = guess;
      front.goal = goal;
      front.urgency = urgency;
    }
  }
}

/** Whether a slot that became free since the last pass is free still. */
function hasFreed(goalClass: GoalClass): boolean {
  return goalClass.usable.some((machine) => machine.hasFreed && freeSlots(machine) > 0);
}

function hasFree(goalClass: GoalClass): boolean {
  return goalClass.usable.some((machine) => freeSlots(machine) > 0);
}

/** No usable machine may take it: either none ever may, or it waits for machines to change or for a round of its own to end. */
function setAside(turn: Turn, goalClass: GoalClass, goal: Goal): void {
  const { plan } = turn;
  const lasting = lastingRefusals(plan, goal);
  if (lasting !== null && isUndecided(goal)) {
    // The machine all rounds had to use is gone for good: they begin anew elsewhere.
    const roundsGone = lasting.some(({ refusal }) => refusal.type === "rounds");
    if (roundsGone && plan.options.roundsOn === "same" && goal.open.length === 0) {
      restartRounds(plan, goal);
      enqueue(goalClass, goal, guessOf(goal));
      if (lastingRefusals(plan, goal) === null) return;
    }
    failUnmatchable(turn, goal, lasting);
    return;
  }
  const { sample, possible } = goalClass;
  if (sample.preferLocalBuild && possible.every((machine) => goalRefusal(plan, goal, machine) !== null)) {
    giveUpLocal(plan, goal);
    return;
  }
  goalClass.aside.add(goal);
}

function assign(turn: Turn, goal: Goal, choice: Extract<Choice, { type: "start" }>): void {
  const { plan } = turn;
  const { machine } = choice;
  const index = nextRound(goal);
  if (goal.phase.type !== "building" || index < 0) return;
  const claim: Claim = {
    id: `c${++plan.counts.claims}` as ClaimId,
    goal,
    machine,
    slot: lowestFreeSlot(machine),
    round: freeRoundNumber(goal),
    attempt: goal.failures.length + 1,
    compare: comparisonFor(goal, machine),
    startedAt: turn.now.mono,
    wasAsked: false,
    sendMs: choice.sendMs,
    recordedMs: choice.recordedMs,
    state: { type: "running" },
    cancelling: false,
    end: null,
  };
  goal.phase.rounds[index] = { type: "running", claim };
  goal.open = [...goal.open, claim];
  goal.waiting = null;
  goal.patience = null;
  noteInputs(plan, goal, machine);
  plan.claims.set(claim.id, claim);
  machine.lanes[claim.slot] = claim;
  machine.running += 1;
  const { id, slot, round, attempt, compare } = claim;
  const rounds = goal.phase.rounds.length;
  const to = machine.id;
  turn.commands.push({
    type: "startBuild",
    claim: id,
    goal: goal.id,
    machine: to,
    slot,
    attempt,
    round,
    rounds,
    isResumed: isResumedOn(goal, machine),
    compare,
  });
  turn.events.push({
    type: "buildAssigned",
    claim: id,
    goal: goal.id,
    machine: to,
    slot,
    attempt,
    round,
    rounds,
    isCheck: goal.spec.check,
    expectedMs: expectedMsFor(plan, goal, machine),
    explanation: choice.explanation,
  });
}

/** What is sent to a machine is there from now on. */
function noteInputs(plan: Plan, goal: Goal, machine: Machine): void {
  if (machine.spec.isLocal || plan.options.sendRate === null) return;
  for (const input of goal.inputs) {
    if (!input.places.includes(machine.index)) input.places = [...input.places, machine.index];
  }
}

function reorderQueues(plan: Plan): void {
  plan.queuesChanged = false;
  for (const goalClass of plan.classList) {
    for (const queue of goalClass.queues) {
      queue.reorder((goal) => {
        if (goal.queuedIn !== goalClass) return false;
        if (wantsSlot(goal)) return true;
        goal.queuedIn = null;
        return false;
      });
    }
  }
}
