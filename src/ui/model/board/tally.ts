// How many goals are in which state: kept by one transition function, so that counters can never disagree with the goals they count.
import type { GoalDescription, WaitingReason } from "../../../engine/events/event.ts";
import type { Counters } from "../../format/counts.ts";
import type { Board, Goal, GoalState, GoalStatus } from "./board.ts";

export function statusOf(state: GoalState): GoalStatus {
  return state.type === "finished" ? state.result.type : state.type;
}

/** The only way a goal changes its state. */
export function moveGoal(board: Board, goal: Goal, next: GoalState): void {
  count(board, goal, -1);
  goal.state = next;
  count(board, goal, 1);
  if (next.type === "finished" && next.result.type === "failed") board.failures.add(goal);
  else board.failures.delete(goal);
}

/** Counts a goal that was just learned of. */
export function addGoal(board: Board, goal: Goal): void {
  count(board, goal, 1);
}

/** Replaces what is known of a goal, keeping what happened to it. */
export function redescribeGoal(board: Board, goal: Goal, description: GoalDescription): void {
  count(board, goal, -1);
  goal.description = description;
  count(board, goal, 1);
}

/** Fetched bytes of a goal only ever grow, over all its tries. */
export function addDownload(board: Board, goal: Goal, bytes: number): void {
  if (bytes <= 0) return;
  goal.downloadedBytes += bytes;
  board.tally.downloadedBytes += bytes;
}

/** Nix's counters for derivations: what was valid or substituted is not expected to be built. */
export function countersOf(board: Board): Counters {
  const { derivation } = board.tally.byStatus;
  const running = derivation.building;
  const done = derivation.built;
  const rest = derivation.planned + derivation.waiting;
  return {
    running,
    done,
    expected: running + done + rest + derivation.failed + derivation.cancelled + derivation.notBuilt,
    failed: derivation.failed,
    downloadedBytes: board.tally.downloadedBytes,
  };
}

/** Goals of both kinds in one status. */
export function countStatus(board: Board, status: GoalStatus): number {
  return board.tally.byStatus.derivation[status] + board.tally.byStatus.path[status];
}

/** What a waiting goal waits for, in words that follow "waiting". */
export function waitingLabel(reason: WaitingReason, goal: GoalDescription): string {
  switch (reason.type) {
    case "inputs":
      return "for inputs";
    case "slots":
      if (goal.requiredFeatures.length > 0) return `for a slot with ${goal.requiredFeatures.join(", ")}`;
      return reason.machines.length === 1 ? `for a slot on ${reason.machines[0]}` : "for a slot";
    case "betterMachine":
      return `for ${reason.machine}, which is faster`;
    case "coolingDown":
      return `for ${namesOf(reason.machines)} to recover`;
    case "connecting":
      return `for a connection to ${namesOf(reason.machines)}`;
    case "cordoned":
      return `for ${namesOf(reason.machines)} to be uncordoned`;
    case "backOff":
      return "to be tried again";
    case "hook":
      return "for a hook";
    case "paused":
      return "because dispatch is paused";
  }
}

function namesOf(machines: readonly string[]): string {
  if (machines.length <= 2) return machines.join(" or ") || "a machine";
  return `one of ${machines.length} machines`;
}

function count(board: Board, goal: Goal, by: 1 | -1): void {
  const { tally } = board;
  tally.byStatus[goal.description.kind][statusOf(goal.state)] += by;
  if (goal.state.type !== "waiting") return;
  const label = waitingLabel(goal.state.reason, goal.description);
  const group = tally.waiting.get(label);
  if (by === 1) {
    if (group !== undefined) group.goals.add(goal);
    else tally.waiting.set(label, { label, type: goal.state.reason.type, goals: new Set([goal]) });
  } else if (group !== undefined) {
    group.goals.delete(goal);
    if (group.goals.size === 0) tally.waiting.delete(label);
  }
}
