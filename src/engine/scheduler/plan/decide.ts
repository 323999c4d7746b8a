// The scheduler: a fact and the time in, commands to perform and events to publish out. It never awaits, and the same facts give the same decisions.
import type { EngineEvent } from "../../events/event.ts";
import type { Command } from "./command.ts";
import type { Fact } from "./fact.ts";
import { onGoalDue } from "./failures/failures.ts";
import { addMachine, onMachine, warmUp } from "./failures/health.ts";
import { onHook } from "./goals/blocking-hooks.ts";
import { onClaim } from "./goals/claims.ts";
import { cancelledBy, finishGoal } from "./goals/finish.ts";
import { addGoals, buildInstead, failImpossible, noSubstitute } from "./goals/goals.ts";
import { outcomeOf } from "./goals/outcome.ts";
import { ESTIMATE_EVERY_MS, publishEstimate } from "./policies/progress.ts";
import { dispatch } from "./queues/dispatch.ts";
import { tellWaiting } from "./queues/waiting.ts";
import { onRequest } from "./requests.ts";
import { turnToCheck } from "./state/goal.ts";
import { type Plan, reviewAll } from "./state/plan.ts";
import { type Now, notice, type Turn } from "./state/turn.ts";

export interface Decision {
  readonly commands: readonly Command[];
  readonly events: readonly EngineEvent[];
}

/** Takes a fact into the plan, which is updated in place, and decides what is to be done now. `now` must never go back. */
export function decide(plan: Plan, fact: Fact, now: Now): Decision {
  const turn: Turn = { plan, now, commands: [], events: [] };
  plan.startedAt ??= now.mono;
  take(turn, fact);
  // A tick uses up what was asked for, also one that comes a little early, as timers do: then another is asked for.
  if (fact.type === "tick" || (plan.wakeAt !== null && plan.wakeAt <= now.mono)) plan.wakeAt = null;
  fireTimers(turn);
  takeSteps(turn, fact.type === "tick");
  return { commands: turn.commands, events: turn.events };
}

function take(turn: Turn, fact: Fact): void {
  const { plan } = turn;
  switch (fact.type) {
    case "goalsAdded":
      addGoals(turn, fact.goals);
      return;
    case "goalsComplete":
      plan.complete = true;
      plan.checkedStamp = -1;
      return;
    case "machineAdded":
      addMachine(turn, fact.spec);
      return;
    case "machineConnected":
    case "machineLost":
    case "machineLoad":
    case "machineSent":
      onMachine(turn, fact);
      return;
    case "claimStage":
    case "claimComparable":
    case "claimBuilt":
    case "outputsReceived":
    case "claimFailed":
    case "claimCancelled":
      onClaim(turn, fact);
      return;
    case "substitutionEnded":
      onSubstitutionEnded(turn, fact);
      return;
    case "hookStarted":
    case "hookEnded":
      onHook(turn, fact);
      return;
    case "tick":
      return;
    default:
      onRequest(turn, fact);
  }
}

function onSubstitutionEnded(turn: Turn, fact: Extract<Fact, { type: "substitutionEnded" }>): void {
  const { plan } = turn;
  const goal = plan.goals.get(fact.goal);
  if (goal === undefined || goal.phase.type !== "substituting") return;
  const { verdict } = goal.phase;
  const { failure } = fact;
  if (failure === null && goal.spec.checkNext === true && verdict === null && plan.halt === null) {
    turnToCheck(goal);
    buildInstead(turn, goal);
  } else if (failure === null) finishGoal(turn, goal, { type: "substituted", outputs: goal.spec.outputPaths });
  else if (verdict !== null) finishGoal(turn, goal, verdict);
  else if (plan.halt !== null) finishGoal(turn, goal, cancelledBy(plan.halt));
  else if (goal.spec.kind === "derivation" && (plan.options.fallback || failure.type === "gone")) {
    const message = `${failure.reason}; '${goal.spec.name}' is built instead`;
    notice(turn, "warning", "SUBSTITUTE_PASSED_OVER", message, { goal: goal.id });
    buildInstead(turn, goal);
  } else finishGoal(turn, goal, noSubstitute(goal, failure.reason));
}

function fireTimers(turn: Turn): void {
  const { plan, now } = turn;
  for (let timer = plan.timers.peek(); timer !== undefined && timer.at <= now.mono; timer = plan.timers.peek()) {
    plan.timers.pop();
    if (timer.what.type === "goal") onGoalDue(turn, timer.what.goal);
    else warmUp(turn, timer.what.machine);
  }
}

/** Starts what can start, says what there is to say, and ends the run when nothing is left. */
function takeSteps(turn: Turn, isTick: boolean): void {
  const { plan } = turn;
  if (plan.finished) return;
  // Builds that take longer than expected change what is worth waiting for.
  if (plan.reviewAt <= turn.now.mono) {
    plan.reviewAt = Number.POSITIVE_INFINITY;
    reviewAll(plan);
  }
  // Ending goals may let others start, or end; each pass ends or starts something, so this comes to rest.
  while (plan.stirred) {
    plan.stirred = false;
    dispatch(turn);
    if (plan.complete && plan.checkedStamp !== plan.machineStamp) {
      plan.checkedStamp = plan.machineStamp;
      failImpossible(turn);
    }
  }
  if (plan.fresh.length > 0 || isTick) tellWaiting(turn);
  if (isTick) publishEstimate(turn);
  const isOver = (plan.complete || plan.halt !== null) && plan.unfinished === 0 && plan.hooks.size === 0;
  if (!isOver || holds(turn)) {
    wake(turn);
    return;
  }
  plan.finished = true;
  turn.commands.push({ type: "finishRun", outcome: outcomeOf(plan) });
}

/** Whether a run that is over waits for the user; says so when it begins to. */
function holds({ plan, events }: Turn): boolean {
  if (!plan.options.holdWhenFailed || plan.hold === "left" || plan.halt?.type === "stopped") return false;
  const { exitStatus } = outcomeOf(plan);
  if (exitStatus === 0) return false;
  if (plan.hold === "none") events.push({ type: "runHeld", exitStatus });
  plan.hold = "held";
  return true;
}

/** Asks for a tick when the next time is due: a try again, a machine that has cooled down, or a new estimate while builds run. */
function wake(turn: Turn): void {
  const { plan, now } = turn;
  let at = Math.min(plan.timers.peek()?.at ?? Number.POSITIVE_INFINITY, plan.reviewAt);
  const isMoving = plan.hooks.size > 0 || plan.machines.some((machine) => machine.running > 0);
  if (isMoving) at = Math.min(at, Math.max(plan.estimatedAt, now.mono) + ESTIMATE_EVERY_MS);
  if (at === Number.POSITIVE_INFINITY) return;
  if (plan.wakeAt !== null && plan.wakeAt <= at) return;
  plan.wakeAt = at;
  turn.commands.push({ type: "wakeAt", at });
}
