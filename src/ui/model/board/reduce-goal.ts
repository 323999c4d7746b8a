// What happens to goals and their builds: states, claims, logs, rounds.
import type { BuildEvent, GoalDescription, GoalEvent, RoundEvent } from "../../../engine/events/event.ts";
import type { ClaimId } from "../../../engine/events/ids.ts";
import type { Board, Build, EndedBuild, Goal } from "./board.ts";
import { laneEnded, laneTaken } from "./lanes.ts";
import { LogBuffer } from "./log-buffer.ts";
import { noteName } from "./name-column.ts";
import { addDownload, addGoal, moveGoal, redescribeGoal } from "./tally.ts";

/** Lines kept of a running build; the engine keeps the whole log on disk. */
const RUNNING_LINES = 5000;
/** Lines kept of one that ended, by how it ended. */
const FAILED_LINES = 2000;
const ENDED_LINES = 300;
/** How long one line of a log is shown beside its lane. */
export const GLIMPSE_MS = 1000;
/** Ended builds that keep lines at all. */
const MAX_KEPT_LOGS = 400;

export function reduceGoal(board: Board, event: GoalEvent | BuildEvent | RoundEvent, at: number): void {
  switch (event.type) {
    case "goalsAdded":
      for (const description of event.goals) learn(board, description, at);
      board.goalsRevision++;
      return;
    case "goalWaiting": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      if (goal.claims.length > 0) goal.deferredReason = event.reason;
      else moveGoal(board, goal, { type: "waiting", since: waitingSince(goal, at), reason: event.reason });
      return;
    }
    case "substitutionStarted": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      // Said again when the source is known: what has been counted stays.
      if (goal.state.type === "substituting") moveGoal(board, goal, { ...goal.state, from: event.from });
      else moveGoal(board, goal, { type: "substituting", since: at, from: event.from, doneBytes: 0, expectedBytes: 0 });
      return;
    }
    case "substitutionProgressed": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined || goal.state.type !== "substituting") return;
      const doneBytes = Number(event.doneBytes);
      addDownload(board, goal, doneBytes - goal.state.doneBytes);
      moveGoal(board, goal, { ...goal.state, doneBytes, expectedBytes: Number(event.expectedBytes) });
      return;
    }
    case "goalFinished": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      goal.deferredReason = null;
      if (event.result.type === "failed") noteName(board, goal.description.name);
      moveGoal(board, goal, { type: "finished", at, result: event.result });
      return;
    }
    case "goalReopened": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      goal.rounds = [];
      goal.differences = [];
      goal.diffLog = null;
      board.compared.delete(goal);
      moveGoal(board, goal, { type: "planned", since: at });
      return;
    }
    case "buildAssigned":
      assign(board, event, at);
      return;
    case "buildStageChanged": {
      const build = board.builds.get(event.claim);
      if (build !== undefined) build.stage = { stage: event.stage, since: at };
      return;
    }
    case "buildPhaseChanged": {
      const build = board.builds.get(event.claim);
      if (build !== undefined) build.phase = { name: event.phase, since: at };
      return;
    }
    case "buildLogKept": {
      const build = board.builds.get(event.claim);
      if (build !== undefined) build.logFile = event.file;
      return;
    }
    case "buildLogged": {
      const build = board.builds.get(event.claim);
      if (build === undefined) return;
      for (const line of event.lines) build.log.push(line);
      build.lastLogAt = at;
      if (build.glimpse === null || at - build.glimpse.at >= GLIMPSE_MS)
        build.glimpse = { line: event.lines.at(-1) ?? "", at };
      return;
    }
    case "buildEnded":
      end(board, event.claim, at, event);
      return;
    case "roundFinished": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      const { round, rounds, machine, verdict } = event;
      goal.rounds = [...goal.rounds, { round, rounds, machine, verdict }];
      return;
    }
    case "outputDiffered": {
      const goal = board.goals.get(event.goal);
      if (goal === undefined) return;
      const { output, firstPath, otherPath, round, firstMachine, otherMachine, summary } = event;
      const difference = { output, firstPath, otherPath, round, firstMachine, otherMachine, summary };
      goal.differences = [...goal.differences, difference];
      return;
    }
  }
}

function learn(board: Board, description: GoalDescription, at: number): void {
  const known = board.goals.get(description.goal);
  if (known !== undefined) {
    redescribeGoal(board, known, description);
    return;
  }
  const goal: Goal = {
    id: description.goal,
    description,
    index: board.goalOrder.length,
    dependants: board.unlinked.get(description.goal) ?? [],
    state: { type: "planned", since: at },
    downloadedBytes: 0,
    claims: [],
    deferredReason: null,
    lastBuild: null,
    executions: 0,
    rounds: [],
    differences: [],
    diffLog: null,
  };
  board.unlinked.delete(goal.id);
  board.goals.set(goal.id, goal);
  board.goalOrder.push(goal);
  addGoal(board, goal);
  for (const id of description.inputs) {
    const input = board.goals.get(id);
    if (input !== undefined) input.dependants.push(goal);
    else {
      const waiting = board.unlinked.get(id);
      if (waiting === undefined) board.unlinked.set(id, [goal]);
      else waiting.push(goal);
    }
  }
}

/** A goal that goes on waiting, for whatever, has waited since it began. */
function waitingSince(goal: Goal, at: number): number {
  return goal.state.type === "waiting" || goal.state.type === "planned" ? goal.state.since : at;
}

function assign(board: Board, event: Extract<BuildEvent, { type: "buildAssigned" }>, at: number): void {
  const goal = board.goals.get(event.goal);
  if (goal === undefined || board.builds.has(event.claim)) return;
  const { claim, machine, slot, attempt, round, rounds, isCheck, expectedMs, explanation } = event;
  const build: Build = {
    claim,
    goal,
    machine,
    slot,
    attempt,
    round,
    rounds,
    isCheck,
    expectedMs,
    explanation,
    assignedAt: at,
    stage: { stage: "preparing", since: at },
    phase: null,
    log: new LogBuffer(RUNNING_LINES),
    logFile: null,
    lastLogAt: null,
    glimpse: null,
  };
  board.builds.set(claim, build);
  noteName(board, goal.description.name);
  if (rounds > 1 || isCheck) board.compared.add(goal);
  goal.claims = [...goal.claims, build];
  goal.executions++;
  goal.deferredReason = null;
  if (goal.state.type !== "building") moveGoal(board, goal, { type: "building", since: at });
  laneTaken(board, build);
}

function end(board: Board, claim: ClaimId, at: number, event: Extract<BuildEvent, { type: "buildEnded" }>): void {
  const build = board.builds.get(claim);
  if (build === undefined) return;
  const ended: EndedBuild = { build, at, durationMs: event.durationMs, result: event.result };
  const { goal } = build;
  board.builds.delete(claim);
  goal.claims = goal.claims.filter((other) => other !== build);
  goal.lastBuild = ended;
  laneEnded(board, ended);
  keepLog(board, ended);
  if (goal.claims.length === 0 && goal.deferredReason !== null && goal.state.type === "building") {
    moveGoal(board, goal, { type: "waiting", since: at, reason: goal.deferredReason });
    goal.deferredReason = null;
  }
}

function keepLog(board: Board, ended: EndedBuild): void {
  ended.build.log.shrink(ended.result.type === "failed" ? FAILED_LINES : ENDED_LINES);
  board.keptLogs.push(ended);
  if (board.keptLogs.length <= MAX_KEPT_LOGS) return;
  const oldest = board.keptLogs.shift();
  oldest?.build.log.shrink(oldest.result.type === "failed" ? 50 : 1);
}
