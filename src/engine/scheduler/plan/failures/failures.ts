// A claim failed: the goal fails with it, or is tried again, elsewhere if possible.

import type { BuildFailure } from "../../../events/event.ts";
import type { ClaimFact, ClaimFailure } from "../fact.ts";
import { closeClaim, releaseSlot } from "../goals/claim-steps.ts";
import { cancelledBy, concludeWhenQuiet, endGoal } from "../goals/finish.ts";
import { goalRefusal } from "../queues/eligibility.ts";
import { tell } from "../queues/waiting.ts";
import { replaceLost } from "../rounds/round-rules.ts";
import { advance, noteBuilt, restartRounds, roundFinished } from "../rounds/rounds.ts";
import { isUndecided, noteTrouble } from "../state/goal.ts";
import { enqueue, guessOf } from "../state/goal-class.ts";
import { reviewAll } from "../state/plan.ts";
import { jitteredWait } from "../state/random.ts";
import type { BuildingPhase, Claim, Goal } from "../state/records.ts";
import { setTimer, type Turn, wallAt } from "../state/turn.ts";
import { confirm } from "./answers.ts";
import { classify, plainReason, type Verdict } from "./classify.ts";
import { hasAlternative, leaveWhenIdle, noteFailure } from "./health.ts";

/** Handles `claimFailed`. */
export function onFailed(turn: Turn, claim: Claim, fact: Extract<ClaimFact, { type: "claimFailed" }>): void {
  const { goal, machine } = claim;
  const { failure, durationMs } = fact;
  const receiving = claim.state.type === "receiving";
  const reason = plainReason(failure.message);
  const verdict = confirm(goal, machine, reason, classify(failure, goal.spec.addressing, receiving));
  if (!receiving) releaseSlot(turn, claim);
  closeClaim(claim);
  const isDifferent = failure.status === "NotDeterministic" && isUndecided(goal) && !claim.cancelling;
  if (!receiving) {
    const ended = claim.cancelling
      ? ({ type: "cancelled" } as const)
      : ({ type: "failed", kind: verdict.kind, message: reason } as const);
    turn.events.push({ type: "buildEnded", claim: claim.id, durationMs, result: ended });
  }
  if (!isUndecided(goal)) {
    concludeWhenQuiet(turn, goal);
  } else if (isDifferent && claim.compare.type === "round") {
    // The machine compared with its own result and found a difference: the round was built.
    const differs = namedOutputs(goal, failure.message);
    noteBuilt(claim, { durationMs, executed: true, outputs: [], differs, messages: [] });
    advance(turn, goal);
  } else if (verdict.kind === "final") {
    machine.streak += 1;
    if (isDifferent) {
      roundFinished(turn, claim, "differs");
      turn.commands.push({ type: "explainDifference", goal: goal.id, first: null, claim: claim.id });
    }
    endGoal(
      turn,
      goal,
      { type: "failed", failure: failureOf(claim, failure, verdict, reason) },
      "another round failed",
    );
  } else {
    noteFailure(turn, machine, verdict.effect, reason);
    retry(turn, claim, failure, verdict, reason);
  }
  leaveWhenIdle(turn, machine);
}

/** Puts the round back in the queue, at once when another machine can take it, else after a while. */
function retry(turn: Turn, claim: Claim, failure: ClaimFailure, verdict: Verdict, reason: string): void {
  const { plan } = turn;
  const { goal, machine } = claim;
  if (!isUndecided(goal)) return;
  goal.failures = [...goal.failures, `${machine.id}: ${reason}`];
  if (claim.wasAsked && !goal.begunOn.includes(machine.index)) goal.begunOn = [...goal.begunOn, machine.index];
  noteTrouble(goal, machine, verdict.effect === "excluded" ? reason : null);
  if (plan.halt !== null) {
    endGoal(turn, goal, cancelledBy(plan.halt), "nothing starts any more");
    return;
  }
  if (goal.failures.length >= plan.options.maxAttempts) {
    const whole = failureOf(claim, failure, verdict, reason);
    endGoal(turn, goal, { type: "failed", failure: whole }, "another round failed too often");
    return;
  }
  const index = goBack(goal, claim);
  if (index === 0 && goal.phase.received !== "no") {
    // The outputs are lost with the machine that had them: every round begins anew.
    restartRounds(plan, goal);
  }
  // What ended with the machine, or made it cool down, says nothing of the build: another one can have it at once. So can it where another one's word
  // decides.
  const elsewhere = (goal.goalClass?.possible ?? []).filter((other) => goalRefusal(plan, goal, other) === null);
  const atOnce =
    failure.origin === "connection" ||
    failure.origin === "local" ||
    verdict.isConfirmable ||
    verdict.effect === "excluded" ||
    machine.condition.type !== "open";
  if (atOnce && hasAlternative(machine, elsewhere)) {
    plan.fresh.push(goal);
  } else {
    const until = turn.now.mono + jitteredWait(plan.options.backOff, goal.failures.length, plan.random);
    goal.phase.rounds[index] = { type: "backOff", until };
    setTimer(turn, until, { type: "goal", goal });
    if (goal.open.length === 0) {
      const attempt = goal.failures.length + 1;
      tell(turn, goal, { type: "backOff", until: wallAt(turn, until), attempt, lastFailure: reason });
    }
  }
  // It may take a slot that is free elsewhere, and so may another round of it.
  reviewAll(plan);
  if (goal.goalClass !== null) enqueue(goal.goalClass, goal, guessOf(goal));
}

/** Marks the round of a lost claim as to be built again; returns its index. */
function goBack(goal: Goal & { phase: BuildingPhase }, claim: Claim): number {
  const { phase } = goal;
  const lost = phase.rounds.findIndex(
    (round) => (round.type === "running" || round.type === "built") && round.claim === claim,
  );
  const index = phase.received === "no" ? replaceLost(phase, lost) : lost;
  phase.rounds[index] = { type: "queued" };
  return index;
}

/** A round that was to be tried again is due. */
export function onGoalDue(turn: Turn, goal: Goal): void {
  if (!isUndecided(goal)) return;
  const { rounds } = goal.phase;
  for (const [index, round] of rounds.entries()) {
    if (round.type === "backOff" && round.until <= turn.now.mono) rounds[index] = { type: "queued" };
  }
  turn.plan.fresh.push(goal);
  reviewAll(turn.plan);
  if (goal.goalClass !== null) enqueue(goal.goalClass, goal, guessOf(goal));
}

function failureOf(claim: Claim, failure: ClaimFailure, verdict: Verdict, message: string): BuildFailure {
  const { logTail, logFile, keptDirectory } = failure;
  return {
    kind: verdict.kind,
    status: failure.status ?? "MiscFailure",
    exitClass: verdict.exitClass,
    message,
    logTail,
    machine: claim.machine.id,
    logFile,
    keptDirectory,
    attempts: claim.goal.failures,
  };
}

/** The outputs a machine's own comparison named; all of them when it named none that is known. */
function namedOutputs(goal: Goal, message: string): readonly string[] {
  const named = goal.spec.outputPaths.filter((output) => message.includes(output.path)).map((output) => output.name);
  return named.length > 0 ? named : goal.spec.outputs;
}
