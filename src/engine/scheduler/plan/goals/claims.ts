// The life of a claim as the driver tells it: stages, built, received, cancelled.

import type { ClaimId } from "../../../events/ids.ts";
import type { ClaimFact } from "../fact.ts";
import { onFailed } from "../failures/failures.ts";
import { leaveWhenIdle, noteSuccess } from "../failures/health.ts";
import { noteActual } from "../policies/belief.ts";
import { learn, spreadOf, typicalLog } from "../policies/learned.ts";
import { notePace } from "../policies/pace.ts";
import { strategyFor } from "../rounds/check-strategy.ts";
import { advance, noteBuilt } from "../rounds/rounds.ts";
import { isUndecided } from "../state/goal.ts";
import { guessOf } from "../state/goal-class.ts";
import { speedOf } from "../state/machine.ts";
import type { Claim } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";
import { closeClaim, releaseSlot } from "./claim-steps.ts";
import { cancelledBy, concludeWhenQuiet, endGoal } from "./finish.ts";
import { wasBegunOn } from "./resumed.ts";

/** Facts about claims that have ended are late news and change nothing. */
export function onClaim(turn: Turn, fact: ClaimFact): void {
  const claim = turn.plan.claims.get(fact.claim);
  if (claim === undefined) return;
  const isOpen = claim.state.type === "running" || claim.state.type === "receiving";
  switch (fact.type) {
    case "claimStage":
      if (fact.stage === "building") claim.wasAsked = true;
      turn.events.push({ type: "buildStageChanged", claim: claim.id, stage: fact.stage });
      return;
    case "claimComparable":
      if (claim.state.type === "running")
        turn.commands.push({ type: "buildCompared", claim: claim.id, strategy: strategyFor(fact.side) });
      return;
    case "claimBuilt":
      if (claim.state.type === "running") onBuilt(turn, claim, fact);
      return;
    case "outputsReceived":
      if (claim.state.type === "receiving") onReceived(turn, claim);
      return;
    case "claimFailed":
      if (!isOpen) return;
      onFailed(turn, claim, fact);
      forget(turn, claim.id);
      return;
    case "claimCancelled":
      if (!isOpen) return;
      onCancelled(turn, claim);
      forget(turn, claim.id);
      return;
  }
}

function onBuilt(turn: Turn, claim: Claim, fact: Extract<ClaimFact, { type: "claimBuilt" }>): void {
  const { goal, machine } = claim;
  const { durationMs, outputs, differs, messages } = fact;
  const executed = fact.executed || wasBegunOn(goal, machine);
  releaseSlot(turn, claim);
  turn.events.push({
    type: "buildEnded",
    claim: claim.id,
    durationMs,
    result: { type: fact.executed ? "built" : "alreadyValid" },
  });
  noteSuccess(machine);
  if (fact.executed) teach(turn, claim, durationMs);
  goal.outputBytes = outputs.reduce((sum, output) => sum + Number(output.narSize), 0);
  if (!goal.places.includes(machine.index)) goal.places = [...goal.places, machine.index];
  noteBuilt(claim, { durationMs, executed, outputs, differs, messages });
  if (isUndecided(goal)) advance(turn, goal);
  else concludeWhenQuiet(turn, goal);
  leaveWhenIdle(turn, machine);
}

/** Learns from the length of a build: what recorded durations and guesses are worth, and how fast the machine is. */
function teach(turn: Turn, claim: Claim, durationMs: number): void {
  const { learned } = turn.plan;
  const { goal, machine, recordedMs } = claim;
  const guess = guessOf(goal);
  const log = Math.log(Math.max(1, durationMs) / recordedMs);
  const off = log - typicalLog(learned, guess);
  const own = log - Math.log(machine.pace.slower);
  notePace(machine, off, spreadOf(learned, goal.isKnown));
  learn(learned, guess, log, own);
  if (goal.isKnown) noteActual(turn.plan, goal.recorded, durationMs * speedOf(machine));
}

function onReceived(turn: Turn, claim: Claim): void {
  const { goal, machine } = claim;
  goal.open = goal.open.filter((open) => open !== claim);
  claim.state = { type: "built" };
  if (isUndecided(goal)) {
    goal.phase.received = "yes";
    advance(turn, goal);
  } else concludeWhenQuiet(turn, goal);
  leaveWhenIdle(turn, machine);
}

function onCancelled(turn: Turn, claim: Claim): void {
  const { goal, machine } = claim;
  if (claim.state.type === "running") {
    const durationMs = Math.max(0, turn.now.mono - claim.startedAt);
    turn.events.push({ type: "buildEnded", claim: claim.id, durationMs, result: { type: "cancelled" } });
  }
  releaseSlot(turn, claim);
  closeClaim(claim);
  if (isUndecided(goal)) {
    const reason =
      turn.plan.halt === null ? { type: "cancelled" as const, reason: "cancelled" } : cancelledBy(turn.plan.halt);
    endGoal(turn, goal, reason, "its build was cancelled");
  } else concludeWhenQuiet(turn, goal);
  leaveWhenIdle(turn, machine);
}

/** A claim that built nothing is not needed for comparing. */
function forget(turn: Turn, claim: ClaimId): void {
  if (turn.plan.claims.get(claim)?.state.type === "ended") turn.plan.claims.delete(claim);
}
