// The fold: one event in, the board brought up to date. One case per event, constant work per event and log line; what is not known is
// ignored, so a newer engine's events do no harm.
import type { EngineEvent, PublishedEvent, RunEvent } from "../../../engine/events/event.ts";
import type { Board } from "./board.ts";
import { reduceGoal } from "./reduce-goal.ts";
import { reduceHook, reduceMachine, reduceTransfer, reduceUsage } from "./reduce-machine.ts";

const MAX_NOTICES = 200;
const MAX_ANSWERS = 20;

/** Brings the board up to date with one event; returns the same board. The same events always give the same board. */
export function reduce(board: Board, published: PublishedEvent): Board {
  board.revision++;
  board.lastAt = Math.max(board.lastAt, published.at);
  reduceEvent(board, published.event, published.at);
  return board;
}

function reduceEvent(board: Board, event: EngineEvent, at: number): void {
  switch (event.type) {
    case "runStarted":
    case "runStageChanged":
    case "runStopping":
    case "dispatchPaused":
    case "dispatchResumed":
    case "estimateChanged":
    case "noticeRaised":
    case "runHeld":
    case "runFinished":
      reduceRun(board, event, at);
      return;
    case "goalReopened":
      if (board.run.type === "held") board.run = { type: "running", info: board.run.info };
      reduceGoal(board, event, at);
      return;
    case "goalsAdded":
    case "goalWaiting":
    case "goalFinished":
    case "substitutionStarted":
    case "substitutionProgressed":
    case "buildAssigned":
    case "buildStageChanged":
    case "buildPhaseChanged":
    case "buildLogKept":
    case "buildLogged":
    case "buildEnded":
    case "roundFinished":
    case "outputDiffered":
      reduceGoal(board, event, at);
      return;
    case "machineAdded":
    case "machineStateChanged":
    case "machineSlotsChanged":
    case "machineIdentified":
      reduceMachine(board, event, at);
      return;
    case "copyStarted":
    case "copyProgressed":
    case "copyFinished":
      reduceTransfer(board, event, at);
      return;
    case "hookQueued":
    case "hookStarted":
    case "hookLogged":
    case "hookFinished":
      reduceHook(board, event, at);
      return;
    case "usageSampled":
    case "usageUnavailable":
      reduceUsage(board, event, at);
      return;
    case "requestAnswered":
      board.answers.push({ at, request: event.request, done: event.done, message: event.message });
      board.answerCount++;
      if (board.answers.length > MAX_ANSWERS) board.answers.shift();
      return;
  }
}

function reduceRun(board: Board, event: RunEvent, at: number): void {
  switch (event.type) {
    case "runStarted": {
      const { runId, program, store, policy, keepGoing, rounds } = event;
      board.run = { type: "running", info: { runId, program, store, policy, keepGoing, rounds } };
      board.startedAt = at;
      return;
    }
    case "runStageChanged":
      board.stage = { stage: event.stage, detail: event.detail, since: at };
      return;
    case "runStopping":
      if (board.run.type !== "notStarted" && board.run.type !== "finished")
        board.run = { type: "stopping", info: board.run.info, how: event.how, reason: event.reason };
      return;
    case "dispatchPaused":
      board.isPaused = true;
      return;
    case "dispatchResumed":
      board.isPaused = false;
      return;
    case "estimateChanged":
      board.estimate = event.remaining === null ? null : { remaining: event.remaining, at };
      return;
    case "noticeRaised": {
      const { level, code, message, hint, machine, goal } = event;
      board.notices.push({ at, level, code, message, hint, machine, goal });
      board.noticeCount++;
      if (board.notices.length > MAX_NOTICES) board.notices.shift();
      return;
    }
    case "runHeld":
      if (board.run.type === "notStarted" || board.run.type === "finished") return;
      board.run = { type: "held", info: board.run.info, exitStatus: event.exitStatus, at };
      board.estimate = null;
      return;
    case "runFinished":
      if (board.run.type === "notStarted") return;
      board.run = { type: "finished", info: board.run.info, outcome: event.outcome, at };
      board.estimate = null;
      return;
  }
}
