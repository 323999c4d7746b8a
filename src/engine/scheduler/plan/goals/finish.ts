// How goals end, and what that means for those that need them and for the run.

import type { GoalResult } from "../../../events/event.ts";
import type { MachineId } from "../../../events/ids.ts";
import { urgencyOf } from "../policies/policy.ts";
import { noteEnded } from "../policies/progress.ts";
import type { Refusal } from "../queues/match.ts";
import { unmatchableMessage } from "../queues/match.ts";
import { tellInputs } from "../queues/waiting.ts";
import { initialRounds } from "../rounds/round-rules.ts";
import { isDone, isUndecided, roundClaims } from "../state/goal.ts";
import { enqueue, guessOf } from "../state/goal-class.ts";
import { type Halt, reviewAll } from "../state/plan.ts";
import type { Goal } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";

/** Ends a goal and tells those that need it. A failure ends the run when `keep-going` is off, as Nix does: what runs is cancelled at once. */
export function finishGoal(turn: Turn, goal: Goal, result: GoalResult): void {
  const { plan } = turn;
  recordEnd(turn, goal, result);
  if (isDone(goal)) wakeDependants(turn, goal);
  else spread(turn, goal, result);
  if (result.type === "failed" && !plan.options.keepGoing && plan.halt === null) halt(turn, { type: "failed", goal });
}

/** Decides how a goal ends; what still runs for it is cancelled first. */
export function endGoal(turn: Turn, goal: Goal, result: GoalResult, reason: string): void {
  if (!isUndecided(goal)) return;
  goal.phase.verdict = result;
  for (const claim of goal.open) {
    if (claim.cancelling) continue;
    claim.cancelling = true;
    turn.commands.push({ type: "cancelClaim", claim: claim.id, reason });
  }
  concludeWhenQuiet(turn, goal);
}

/** Finishes a goal whose end is decided once nothing runs for it any more. */
export function concludeWhenQuiet(turn: Turn, goal: Goal): void {
  const { phase } = goal;
  if (phase.type !== "building" || phase.verdict === null || goal.open.length > 0) return;
  // Rounds that did not all agree must not leave their result valid in the destination store, where local builds are registered at once.
  const registered = roundClaims(goal).find((claim) => claim.machine.spec.isLocal && claim.end?.executed === true);
  if (phase.rounds.length > 1 && !goal.spec.check && phase.verdict.type !== "built" && registered !== undefined) {
    turn.commands.push({ type: "takeBackOutputs", goal: goal.id, claim: registered.id });
  }
  finishGoal(turn, goal, phase.verdict);
}

/** Fails a goal that no machine can take, with what is missing where. */
export function failUnmatchable(
  turn: Turn,
  goal: Goal,
  refusals: readonly { readonly machine: MachineId; readonly refusal: Refusal }[],
): void {
  const result: GoalResult = {
    type: "failed",
    failure: {
      kind: "final",
      status: "InputRejected",
      exitClass: "build",
      message: unmatchableMessage(goal.spec, refusals),
      logTail: [],
      machine: null,
      logFile: null,
      keptDirectory: null,
      attempts: goal.failures,
    },
  };
  if (goal.phase.type === "building") endGoal(turn, goal, result, "no machine can take it");
  else finishGoal(turn, goal, result);
}

/** Lets a goal whose inputs are there join its queue. */
export function makeReady(turn: Turn, goal: Goal): void {
  const { plan } = turn;
  goal.phase = { type: "building", rounds: initialRounds(goal, plan.options), received: "no", verdict: null };
  plan.fresh.push(goal);
  const { goalClass } = goal;
  if (goalClass === null) return;
  const guess = guessOf(goal);
  enqueue(goalClass, goal, guess);
  if (urgencyOf(plan, goal, guess) > goalClass.cutoff) reviewAll(plan);
}

/** Nothing starts from now on. What runs finishes, or is cancelled when the user or a failure said so. */
export function halt(turn: Turn, why: Halt): void {
  const { plan } = turn;
  plan.halt = why;
  reviewAll(plan);
  const cancels = why.type === "failed" || (why.type === "stopped" && why.how === "cancel");
  for (const goal of plan.goals.values()) {
    if (!goal.needed || goal.phase.type === "finished" || goal.phase.type === "hook") continue;
    if (goal.phase.type === "substituting") {
      if (cancels && goal.phase.verdict === null) {
        goal.phase.verdict = cancelledBy(why);
        turn.commands.push({ type: "cancelSubstitution", goal: goal.id });
      }
    } else if (goal.phase.type === "building") {
      const begun = roundClaims(goal).length > 0 || goal.open.length > 0;
      if (!begun) recordEnd(turn, goal, notBuiltBy(why));
      else if (cancels || goal.open.length === 0) endGoal(turn, goal, cancelledBy(why), haltReason(why));
    } else recordEnd(turn, goal, notBuiltBy(why));
  }
  if (why.type === "stopped" && why.how === "cancel") dropHooks(turn, why.reason);
}

/** Hooks that run are cancelled, those that wait are left. */
function dropHooks(turn: Turn, reason: string): void {
  const { plan } = turn;
  for (const queued of [...plan.hooks.values()]) {
    if (queued.state === "running") {
      turn.commands.push({ type: "cancelHook", hook: queued.hook });
      continue;
    }
    plan.hooks.delete(queued.hook);
    plan.hookFailed = true;
    turn.events.push({ type: "hookFinished", hook: queued.hook, result: { type: "left", reason } });
    if (queued.goal.phase.type === "hook") finishGoal(turn, queued.goal, queued.goal.phase.result);
  }
}

/** How a goal ends that could not start any more. */
export function notBuiltBy(why: Halt): GoalResult {
  return { type: "notBuilt", because: why.type === "failed" ? why.goal.id : null, reason: haltReason(why) };
}

/** How a goal ends that was begun and may not go on. */
export function cancelledBy(why: Halt): GoalResult {
  return { type: "cancelled", reason: haltReason(why) };
}

/** Why nothing starts any more, in words. */
export function haltReason(why: Halt): string {
  switch (why.type) {
    case "stopped":
      return why.reason;
    case "failed":
      return `'${why.goal.spec.name}' failed, and --keep-going is not set`;
    case "hookFailed":
      return `the post-build hook for '${why.goal.spec.name}' failed`;
  }
}

function recordEnd(turn: Turn, goal: Goal, result: GoalResult): void {
  const { plan } = turn;
  for (const claim of roundClaims(goal)) plan.claims.delete(claim.id);
  goal.phase = { type: "finished", result };
  goal.waiting = null;
  goal.pending = 0;
  plan.unfinished -= 1;
  if (goal.goalClass !== null) {
    goal.goalClass.members -= 1;
    noteEnded(plan.progress, goal);
  }
  turn.events.push({ type: "goalFinished", goal: goal.id, result });
}

function wakeDependants(turn: Turn, goal: Goal): void {
  const { dependants } = goal;
  for (let at = 0; at < dependants.length; at++) {
    const dependant = dependants[at]!;
    if (dependant.pending === 0) continue;
    dependant.pending -= 1;
    if (dependant.pending === 0) makeReady(turn, dependant);
    else if (dependant.pending === 1) tellInputs(turn, dependant);
  }
}

/** Whoever needs what did not come about is not built. Without recursion: chains may be long. */
function spread(turn: Turn, origin: Goal, result: GoalResult): void {
  const root = result.type === "notBuilt" ? result.because : origin.id;
  const name = origin.spec.name;
  const reason =
    result.type === "cancelled"
      ? `its input '${name}' was cancelled`
      : result.type === "failed"
        ? `its input '${name}' failed`
        : `its input '${name}' was not built`;
  const reached = [origin];
  for (let next = reached.pop(); next !== undefined; next = reached.pop()) {
    for (const dependant of next.dependants) {
      if (dependant.phase.type !== "inputs") continue;
      recordEnd(turn, dependant, { type: "notBuilt", because: root, reason });
      reached.push(dependant);
    }
  }
}
