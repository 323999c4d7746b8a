// Why a key does nothing now, in words; null when it does something.
import { failedHooks, failureOf, isWatched } from "../board/board.ts";
import { goalOf, machineOfSelected, type ViewContext } from "./context.ts";

export function steering(context: ViewContext): string | null {
  if (context.replay !== null) return "a replay cannot be steered";
  if (isWatched(context.board)) return "this is only watched: Nix decides what is built";
  return context.board.run.type === "finished" ? "the run has ended" : null;
}

export function replaying(context: ViewContext): string | null {
  return context.replay === null ? "this is not a replay" : null;
}

export function needsSelection(context: ViewContext): string | null {
  return context.selected.type === "none" ? "nothing is selected" : null;
}

export function needsGoal(context: ViewContext): string | null {
  return goalOf(context.selected) === null ? "select a build first" : null;
}

export function needsSearch(context: ViewContext): string | null {
  return context.screen.type === "log" && context.screen.search !== "" ? null : "search for something first, with /";
}

export function cancelObstacle(context: ViewContext): string | null {
  const goal = goalOf(context.selected);
  if (goal === null) return "select a build to cancel";
  return goal.state.type === "finished" ? `${goal.description.name} has ended` : null;
}

export function retryObstacle(context: ViewContext): string | null {
  if (context.selected.type === "hook") {
    const { state } = context.selected.hook;
    const isOver = state.type === "failed" || state.type === "left" || state.type === "givenUp";
    return isOver || state.type === "retrying" ? null : "this hook has not failed";
  }
  const goal = goalOf(context.selected);
  if (goal === null) return "select something that failed";
  if (failureOf(goal) !== null) return null;
  const ended = goal.state.type === "finished" ? goal.state.result.type : null;
  return ended === "cancelled" || ended === "notBuilt" ? null : `${goal.description.name} has not failed`;
}

export function retryAllObstacle({ board }: ViewContext): string | null {
  return board.failures.size === 0 && failedHooks(board) === 0 ? "nothing has failed" : null;
}

export function nextObstacle(context: ViewContext): string | null {
  const goal = goalOf(context.selected);
  if (goal === null) return "select a build first";
  if (goal.state.type === "finished") return `${goal.description.name} has ended`;
  return goal.state.type === "building" ? `${goal.description.name} is being built` : null;
}

export function machineObstacle(context: ViewContext): string | null {
  return machineOfSelected(context.board, context.selected) === null ? "select a builder first" : null;
}

export function slotsObstacle(context: ViewContext): string | null {
  const machine = machineOfSelected(context.board, context.selected);
  return machine !== null && machine.slots === 0 ? `${machine.id} has no slots` : null;
}

/** Pausing and going on mean something only while builds still start. */
export function pauseObstacle({ board }: ViewContext): string | null {
  if (board.run.type !== "stopping") return null;
  return board.run.how === "drain"
    ? "the run finishes what runs: nothing starts any more"
    : "the run is being cancelled: nothing starts any more";
}
