// How goals come into the plan, and what it takes for them to be needed: only what a target cannot do without is ever worked on.

import { EngineError } from "../../../base/errors.ts";
import type { GoalDescription, GoalResult } from "../../../events/event.ts";
import type { GoalSpec } from "../fact.ts";
import { assessWork } from "../policies/expect.ts";
import { noteToBuild } from "../policies/progress.ts";
import { raiseRanks } from "../policies/ranks.ts";
import { lastingRefusals } from "../queues/eligibility.ts";
import { tell, tellInputs } from "../queues/waiting.ts";
import { createGoal, endedBadly, isDone, isUndecided } from "../state/goal.ts";
import { speedOf } from "../state/machine.ts";
import { type Plan, reviewAll } from "../state/plan.ts";
import type { Goal, GoalClass } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";
import { joinClass } from "./class-members.ts";
import { failUnmatchable, finishGoal, makeReady, notBuiltBy } from "./finish.ts";

/**
 * Adds goals. Their inputs must be among them or known already; throws `PLAN_UNKNOWN_INPUT` or `PLAN_CYCLE` otherwise. A goal that is known
 * already may become a target.
 */
export function addGoals(turn: Turn, specs: readonly GoalSpec[]): void {
  const { plan } = turn;
  const added: Goal[] = [];
  const wanted: Goal[] = [];
  for (const spec of specs) {
    let goal = plan.goals.get(spec.goal);
    if (goal === undefined) {
      goal = createGoal(spec, plan.counts.goals++, plan.options.resumed.get(spec.goal) ?? null);
      plan.goals.set(spec.goal, goal);
      added.push(goal);
      if (goal.isTarget) plan.targets.push(goal);
    } else if (spec.isTarget && !goal.isTarget) {
      goal.isTarget = true;
      plan.targets.push(goal);
    }
    if (goal.isTarget) wanted.push(goal);
  }
  for (const goal of added) link(plan, goal);
  for (const goal of added) level(goal);
  need(turn, wanted);
}

function link(plan: Plan, goal: Goal): void {
  const inputs: Goal[] = [];
  for (const id of goal.spec.inputs) {
    const input = plan.goals.get(id);
    if (input === undefined) {
      throw new EngineError(
        "internal",
        "PLAN_UNKNOWN_INPUT",
        `${goal.id}: its input ${id} was never added to the plan`,
      );
    }
    if (input.dependants.length === 0) input.dependants = [goal];
    else input.dependants.push(goal);
    inputs.push(input);
  }
  goal.inputs = inputs;
}

/** Longest chain of inputs under a goal; without recursion, as chains may be long. */
function level(start: Goal): void {
  if (start.level >= 0) return;
  let highest = -1;
  for (const input of start.inputs) {
    if (input.level < 0) {
      highest = -2;
      break;
    }
    if (input.level > highest) highest = input.level;
  }
  // Goals mostly come after their inputs.
  if (highest !== -2) {
    start.level = highest + 1;
    return;
  }
  const stack: { readonly goal: Goal; next: number }[] = [{ goal: start, next: 0 }];
  const open = new Set<Goal>([start]);
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const input = top.goal.inputs[top.next++];
    if (input === undefined) {
      top.goal.level = top.goal.inputs.reduce((highest, each) => Math.max(highest, each.level), -1) + 1;
      open.delete(top.goal);
      stack.pop();
    } else if (input.level < 0) {
      if (open.has(input)) {
        throw new EngineError("internal", "PLAN_CYCLE", `${input.id}: it needs itself, by way of ${top.goal.id}`);
      }
      open.add(input);
      stack.push({ goal: input, next: 0 });
    }
  }
}

/** Makes goals needed, and with them what they cannot do without. */
export function need(turn: Turn, goals: readonly Goal[]): void {
  const { plan } = turn;
  const found: Goal[] = [];
  const stack = goals.filter((goal) => !goal.needed).reverse();
  for (let goal = stack.pop(); goal !== undefined; goal = stack.pop()) {
    if (goal.needed) continue;
    goal.needed = true;
    plan.unfinished += 1;
    found.push(goal);
    if (!isToBuild(goal)) continue;
    joinClass(plan, goal);
    if (isHopeless(plan, goal)) continue;
    for (let index = goal.inputs.length - 1; index >= 0; index--) {
      const input = goal.inputs[index]!;
      if (!input.needed) stack.push(input);
    }
  }
  if (found.length === 0) return;
  const inOrder = inOrderOfArrival(plan, found);
  const byLevel = inputsFirst(inOrder);
  for (const goal of byLevel) assess(plan, goal);
  raiseRanks(plan, byLevel);
  turn.events.push({ type: "goalsAdded", goals: inOrder.map((goal) => describe(goal)) });
  for (const goal of byLevel) takeFirstStep(turn, goal);
}

/** Sorted by index. Where most of the plan is meant, going through all of it costs less than sorting. */
function inOrderOfArrival(plan: Plan, goals: Goal[]): Goal[] {
  if (goals.length < plan.goals.size / 8) return goals.sort((a, b) => a.index - b.index);
  const mark = ++plan.counts.marks;
  for (const goal of goals) goal.mark = mark;
  const sorted: Goal[] = [];
  for (const goal of plan.goals.values()) if (goal.mark === mark) sorted.push(goal);
  return sorted;
}

/** Sorted by level, and within one in the order given. */
function inputsFirst(goals: readonly Goal[]): Goal[] {
  const levels: Goal[][] = [];
  for (const goal of goals) {
    while (levels.length <= goal.level) levels.push([]);
    levels[goal.level]!.push(goal);
  }
  return levels.flat();
}

/** A substitution failed and the goal is built instead: its inputs are needed now. */
export function buildInstead(turn: Turn, goal: Goal): void {
  const { plan } = turn;
  goal.phase = { type: "dormant" };
  if (goal.goalClass === null) {
    joinClass(plan, goal);
    assess(plan, goal);
  }
  raiseRanks(plan, [goal]);
  if (!isHopeless(plan, goal)) need(turn, goal.inputs);
  if (goal.phase.type === "dormant") beginBuild(turn, goal);
}

function assess(plan: Plan, goal: Goal): void {
  if (goal.goalClass === null) return;
  assessWork(plan, goal, goal.goalClass.quickest);
  noteToBuild(plan.progress, goal);
}

/** Whether it is made by building, not by substitution or by doing nothing. */
export function isToBuild(goal: Goal): boolean {
  return goal.spec.kind === "derivation" && (goal.spec.check || goal.spec.validity === "missing");
}

/** Whether no machine can ever take it; while no machine is known, nothing is said. */
export function isHopeless(plan: Plan, goal: Goal): boolean {
  if (goal.goalClass === null || (plan.machines.length === 0 && !plan.complete)) return false;
  return goal.goalClass.possible.length === 0 || lacksSecondMachine(plan, goal, goal.goalClass);
}

/** Rounds that must not use the first one's machine need two. */
function lacksSecondMachine(plan: Plan, goal: Goal, goalClass: GoalClass): boolean {
  return plan.options.roundsOn === "other" && goal.spec.rounds > 1 && goalClass.possible.length < 2;
}

/** The first step of a needed goal whose inputs have taken theirs. */
export function takeFirstStep(turn: Turn, goal: Goal): void {
  const { plan } = turn;
  const { spec } = goal;
  // A failure on the way may have ended it already.
  if (goal.phase.type !== "dormant") return;
  if (isToBuild(goal)) beginBuild(turn, goal);
  else if (spec.validity === "valid") finishGoal(turn, goal, { type: "alreadyValid", outputs: spec.outputPaths });
  else if (plan.halt !== null) finishGoal(turn, goal, notBuiltBy(plan.halt));
  else if (spec.validity === "substitutable") {
    goal.phase = { type: "toSubstitute" };
    if (plan.paused) tell(turn, goal, { type: "paused" });
    plan.toSubstitute.push(goal);
    reviewAll(plan);
  } else finishGoal(turn, goal, noSubstitute(goal));
}

function beginBuild(turn: Turn, goal: Goal): void {
  const { plan } = turn;
  if (plan.halt !== null) {
    finishGoal(turn, goal, notBuiltBy(plan.halt));
    return;
  }
  if (isHopeless(plan, goal)) {
    failHopeless(turn, goal);
    return;
  }
  const lost = goal.inputs.find(endedBadly);
  if (lost !== undefined) {
    finishGoal(turn, goal, {
      type: "notBuilt",
      because: lost.id,
      reason: `its input '${lost.spec.name}' was not built`,
    });
    return;
  }
  let pending = 0;
  for (const input of goal.inputs) if (!isDone(input)) pending += 1;
  goal.pending = pending;
  if (goal.pending === 0) {
    makeReady(turn, goal);
    return;
  }
  goal.phase = { type: "inputs" };
  tellInputs(turn, goal);
}

/** Fails goals that no machine can take any more, once all machines are known. */
export function failImpossible(turn: Turn): void {
  const { plan } = turn;
  for (const goalClass of plan.classList) {
    const enough = plan.options.roundsOn === "other" ? 2 : 1;
    if (goalClass.members === 0 || goalClass.possible.length >= enough) continue;
    for (const goal of plan.goals.values()) {
      if (goal.goalClass !== goalClass || goal.open.length > 0 || !isHopeless(plan, goal)) continue;
      if (goal.phase.type === "inputs" || isUndecided(goal)) failHopeless(turn, goal);
    }
  }
}

/** Fails a goal that no machine can take, or not as often as its rounds need. */
export function failHopeless(turn: Turn, goal: Goal): void {
  const { plan } = turn;
  const lasting = lastingRefusals(plan, goal) ?? [];
  if (goal.goalClass === null || goal.goalClass.possible.length === 0) {
    failUnmatchable(turn, goal, lasting);
    return;
  }
  const only = goal.goalClass.possible.map((machine) => ({
    machine: machine.id,
    refusal: { type: "rounds", rule: "other" } as const,
  }));
  const others = plan.machines
    .filter((machine) => goal.goalClass?.possible.includes(machine) === false)
    .flatMap((machine) => lasting.filter((each) => each.machine === machine.id));
  failUnmatchable(turn, goal, [...only, ...others]);
}

/** Nix's words, by kind of goal (substitution-goal.cc, derivation-goal.cc). */
export function noSubstitute(goal: Goal, reason: string | null = null): GoalResult {
  const words =
    goal.spec.kind === "path"
      ? `path '${goal.id}' is required, but there is no substituter that can build it`
      : `some substitutes for the outputs of derivation '${goal.id}' failed (usually happens due to networking issues); try '--fallback' to build derivation from source `;
  return {
    type: "failed",
    failure: {
      kind: "final",
      status: "NoSubstituters",
      exitClass: "other",
      message: words,
      logTail: reason === null ? [] : [reason],
      machine: null,
      logFile: null,
      keptDirectory: null,
      attempts: reason === null ? [] : [reason],
    },
  };
}

function describe(goal: Goal): GoalDescription {
  const { goal: id, name, kind, system, requiredFeatures, outputs, inputs } = goal.spec;
  const quickest = goal.goalClass?.quickest ?? null;
  const expectedMs = goal.isKnown && quickest !== null ? Math.round(goal.work / speedOf(quickest)) : null;
  return { goal: id, name, kind, system, requiredFeatures, outputs, inputs, isTarget: goal.isTarget, expectedMs };
}
