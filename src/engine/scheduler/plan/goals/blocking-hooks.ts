// Post-build hooks: which run now, and what their end means (Nix manual, Using the post-build-hook).

import type { GoalResult } from "../../../events/event.ts";
import type { HookId } from "../../../events/ids.ts";
import type { HookFact } from "../fact.ts";
import { reviewAll } from "../state/plan.ts";
import type { Claim, Goal } from "../state/records.ts";
import { notice, type Turn } from "../state/turn.ts";
import { finishGoal, halt } from "./finish.ts";

/** Ends a goal that was built, its post-build hook first where builds wait for hooks. Only executed builds have hooks. */
export function finishBuilt(turn: Turn, goal: Goal, claim: Claim, result: GoalResult): void {
  const { plan } = turn;
  const mode = plan.options.hook;
  const isLeft = mode.type === "none" || (mode.exceptLocal && claim.machine.spec.isLocal);
  if (isLeft || result.type !== "built") {
    finishGoal(turn, goal, result);
    return;
  }
  const hook = `h${++plan.counts.hooks}` as HookId;
  plan.hooks.set(hook, { hook, goal, claim: claim.id, state: "queued" });
  const paths = result.outputs.map((output) => output.path);
  turn.events.push({ type: "hookQueued", hook, kind: "postBuild", goal: goal.id, paths });
  goal.phase = { type: "hook", hook, result };
  startHook(turn);
}

/** Starts the next hook once the one before has ended: in the order their builds ended, which is also the order of dependency. */
function startHook(turn: Turn): void {
  const next = turn.plan.hooks.values().next().value;
  if (next === undefined || next.state === "running") return;
  next.state = "running";
  turn.commands.push({ type: "runPostBuildHook", hook: next.hook, goal: next.goal.id, claim: next.claim });
}

/** A hook began, or ended. One that fails where builds wait for hooks ends the run: the build succeeded, but no further builds start. */
export function onHook(turn: Turn, fact: HookFact): void {
  const { plan } = turn;
  const queued = plan.hooks.get(fact.hook);
  if (queued === undefined) return;
  if (fact.type === "hookStarted") {
    turn.events.push({ type: "hookStarted", hook: fact.hook, attempt: fact.attempt });
    return;
  }
  plan.hooks.delete(fact.hook);
  reviewAll(plan);
  const { goal } = queued;
  if (fact.failure === null) {
    turn.events.push({
      type: "hookFinished",
      hook: fact.hook,
      result: { type: "succeeded", durationMs: fact.durationMs },
    });
  } else {
    turn.events.push({ type: "hookFinished", hook: fact.hook, result: { type: "failed", reason: fact.failure } });
    plan.hookFailed = true;
    notice(turn, "error", "POST_BUILD_HOOK_FAILED", fact.failure, { goal: goal.id });
  }
  if (goal.phase.type === "hook" && goal.phase.hook === fact.hook) finishGoal(turn, goal, goal.phase.result);
  if (fact.failure !== null && plan.halt === null) {
    halt(turn, { type: "hookFailed", goal });
  }
  startHook(turn);
}
