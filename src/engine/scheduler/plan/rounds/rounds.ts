// A round was built: judges it against the first, and takes the goal its next step: another round, fetching the outputs, the end.

import type { GoalResult } from "../../../events/event.ts";
import { finishBuilt } from "../goals/blocking-hooks.ts";
import { cancelledBy, endGoal } from "../goals/finish.ts";
import { isUndecided, roundClaims, turnToCheck } from "../state/goal.ts";
import { enqueue, guessOf } from "../state/goal-class.ts";
import { type Plan, reviewAll } from "../state/plan.ts";
import type { BuildingPhase, Claim, ClaimEnd, Goal } from "../state/records.ts";
import { notice, type Turn } from "../state/turn.ts";
import { checkFailedMessage, differencesOf, initialRounds, roundDiffersMessages } from "./round-rules.ts";

/** Notes what a claim built. */
export function noteBuilt(claim: Claim, end: ClaimEnd): void {
  claim.end = end;
  claim.state = { type: "built" };
  const { goal } = claim;
  goal.open = goal.open.filter((open) => open !== claim);
  if (goal.phase.type !== "building") return;
  const { rounds } = goal.phase;
  const index = rounds.findIndex((round) => round.type === "running" && round.claim === claim);
  if (index >= 0) rounds[index] = { type: "built", claim, differs: null };
}

/** Takes the next step of a goal of which a round was built or whose outputs have come. */
export function advance(turn: Turn, goal: Goal): void {
  if (!isUndecided(goal)) return;
  const { phase } = goal;
  judge(turn, goal);
  if (!isUndecided(goal)) return;
  const { rounds } = phase;
  const first = rounds[0]!;
  if (first.type === "built" && rounds.every((round) => round.type === "built")) {
    if (goal.spec.check || phase.received === "yes") complete(turn, goal, first.claim);
    else if (phase.received === "no") receive(turn, phase, first.claim);
    return;
  }
  if (turn.plan.halt !== null) {
    if (goal.open.length === 0) endGoal(turn, goal, cancelledBy(turn.plan.halt), "nothing starts any more");
    return;
  }
  if (!rounds.some((round) => round.type === "running" || round.type === "queued" || round.type === "backOff")) {
    const later = rounds.findIndex((round) => round.type === "later");
    if (later >= 0) rounds[later] = { type: "queued" };
  }
  next(turn, goal);
}

/** Lets the next round start as soon as a machine takes it. */
function next(turn: Turn, goal: Goal): void {
  reviewAll(turn.plan);
  if (goal.goalClass !== null) enqueue(goal.goalClass, goal, guessOf(goal));
  if (goal.open.length === 0) turn.plan.fresh.push(goal);
}

function receive(turn: Turn, phase: BuildingPhase, claim: Claim): void {
  phase.received = "underWay";
  claim.state = { type: "receiving" };
  claim.goal.open = [...claim.goal.open, claim];
  turn.commands.push({ type: "receiveOutputs", claim: claim.id });
}

/** Compares the rounds that have not been compared yet. */
function judge(turn: Turn, goal: Goal & { phase: BuildingPhase }): void {
  const { phase } = goal;
  const first = phase.rounds[0]!;
  const isCompared = phase.rounds.length > 1 || goal.spec.check;
  if (!isCompared || (first.type !== "built" && !goal.spec.check)) return;
  const known = new Map<string, readonly string[]>();
  for (const round of phase.rounds) {
    if (round.type === "built" && round.differs !== null) known.set(round.claim.id, round.differs);
  }
  for (const [index, round] of phase.rounds.entries()) {
    if (round.type !== "built" || round.differs !== null) continue;
    const { claim } = round;
    const isFirst = index === 0 && !goal.spec.check;
    const reference = first.type === "built" ? first.claim : claim;
    const differs = isFirst ? [] : differencesOf(claim, reference, (id) => known.get(id) ?? []);
    phase.rounds[index] = { type: "built", claim, differs };
    known.set(claim.id, differs);
    roundFinished(turn, claim, isFirst ? "first" : differs.length > 0 ? "differs" : "same");
    if (differs.length === 0) continue;
    const compared = goal.spec.check ? null : reference.id;
    turn.commands.push({ type: "explainDifference", goal: goal.id, first: compared, claim: claim.id });
    if (goal.spec.check || turn.plan.options.enforceDeterminism) {
      fail(turn, goal, claim, differs, reference.end);
      return;
    }
    for (const message of claim.end?.messages ?? []) {
      notice(turn, "warning", "ROUNDS_DIFFER", message, { goal: goal.id, machine: claim.machine.id });
    }
  }
}

/** Publishes a round's verdict. */
export function roundFinished(turn: Turn, claim: Claim, verdict: "first" | "same" | "differs"): void {
  const { goal, round } = claim;
  const rounds = Math.max(1, goal.spec.rounds);
  turn.events.push({
    type: "roundFinished",
    goal: goal.id,
    claim: claim.id,
    round,
    rounds,
    machine: claim.machine.id,
    verdict,
  });
}

/** All rounds begin anew: what earlier ones built is lost. */
export function restartRounds(plan: Plan, goal: Goal): void {
  if (goal.phase.type !== "building") return;
  for (const claim of roundClaims(goal)) plan.claims.delete(claim.id);
  goal.phase.received = "no";
  goal.phase.rounds.splice(0, goal.phase.rounds.length, ...initialRounds(goal, plan.options));
}

function fail(turn: Turn, goal: Goal, claim: Claim, differs: readonly string[], end: ClaimEnd | null): void {
  const told = claim.end?.messages ?? [];
  const message = goal.spec.check
    ? checkFailedMessage(goal, differs, end)
    : (told.length > 0 ? told : roundDiffersMessages(goal, differs, end)).join("\n");
  const result: GoalResult = {
    type: "failed",
    failure: {
      kind: "final",
      status: "NotDeterministic",
      exitClass: "notDeterministic",
      message,
      logTail: [],
      machine: claim.machine.id,
      logFile: null,
      keptDirectory: null,
      attempts: goal.failures,
    },
  };
  endGoal(turn, goal, result, "rounds differ");
}

/** All rounds are done and the outputs are where they belong. */
function complete(turn: Turn, goal: Goal & { phase: BuildingPhase }, first: Claim): void {
  if (goal.spec.checkNext === true) {
    turnToCheck(goal);
    restartRounds(turn.plan, goal);
    next(turn, goal);
    return;
  }
  const { end } = first;
  const { rounds } = goal.phase;
  const known = goal.spec.outputPaths;
  const built = (end?.outputs ?? []).map(({ name, path }) => ({ name, path }));
  const wanted = built.filter((output) => goal.spec.outputs.includes(output.name));
  const outputs = wanted.length > 0 ? wanted : built.length > 0 ? built : known;
  const executed = rounds.some((round) => round.type === "built" && round.claim.end?.executed === true);
  if (!executed) {
    finishBuilt(turn, goal, first, { type: "alreadyValid", outputs });
    return;
  }
  finishBuilt(turn, goal, first, {
    type: "built",
    outputs,
    machine: first.machine.id,
    durationMs: end?.durationMs ?? 0,
    rounds: rounds.length,
    nonDeterministic: rounds.some((round) => round.type === "built" && (round.differs?.length ?? 0) > 0),
  });
}
