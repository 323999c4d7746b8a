// What a key press is judged by: the screen as it is laid out now, and what is selected on it.
import type { Board, Build, EndedBuild, Goal, Hook, Machine, WaitingGroup } from "../board/board.ts";
import { type BoardLayout, layoutBoard } from "../screens/select-board.ts";
import { type ListLayout, layoutList } from "../screens/select-list.ts";
import { type LogArchive, type LogLayout, layoutLog } from "../screens/select-log.ts";
import {
  type FailuresLayout,
  type HelpLayout,
  layoutFailures,
  layoutHelp,
  layoutMachines,
  type MachinesLayout,
} from "../screens/select-others.ts";
import { layoutRounds, type RoundsLayout } from "../screens/select-rounds.ts";
import { layoutTree, type TreeLayout } from "../screens/select-tree.ts";
import { currentScreen, type ItemId, type Screen, type ViewState } from "./view-state.ts";

export type Layout =
  | BoardLayout
  | ListLayout
  | LogLayout
  | TreeLayout
  | MachinesLayout
  | FailuresLayout
  | RoundsLayout
  | HelpLayout;

export type Selected =
  | { readonly type: "none" }
  | { readonly type: "machine"; readonly machine: Machine }
  | { readonly type: "build"; readonly build: Build; readonly ended: EndedBuild | null }
  | { readonly type: "goal"; readonly goal: Goal }
  | { readonly type: "waiting"; readonly group: WaitingGroup }
  | { readonly type: "hook"; readonly hook: Hook };

/** Cells of the terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Nothing is on disk. */
export const NO_ARCHIVE: LogArchive = { linesOf: () => null };

/** State of a replay as the board shows it. */
export interface ReplayState {
  readonly name: string;
  readonly speed: number;
  readonly isPaused: boolean;
  readonly position: number;
  readonly length: number;
}

export interface ViewContext {
  readonly board: Board;
  readonly view: ViewState;
  readonly screen: Screen;
  readonly layout: Layout;
  readonly selected: Selected;
  readonly size: Size;
  readonly now: number;
  readonly replay: ReplayState | null;
  readonly archive: LogArchive;
}

/** Rows around the body of every screen, by what the terminal has room for. */
export interface Frame {
  readonly header: number;
  readonly body: number;
  readonly detail: number;
  readonly footer: number;
}

/** One row is the counters alone; the footer comes with the third row, the rule with the eighth, the detail line with the twelfth, its rule with the twentieth. */
export function frameOf(size: Size): Frame {
  const header = size.rows >= 8 ? 2 : 1;
  const footer = size.rows >= 3 ? 1 : 0;
  const detail = size.rows >= 20 ? 2 : size.rows >= 12 ? 1 : 0;
  return { header, footer, detail, body: Math.max(0, size.rows - header - footer - detail) };
}

/**
 * Lays out the screen looked at.
 * @param scrolls first rows shown so far, by screen type; brought up to date
 * @param helpLines lines of the help
 * @param archive where older lines of logs are found
 */
export function contextOf(
  board: Board,
  view: ViewState,
  size: Size,
  now: number,
  replay: ReplayState | null,
  scrolls: Map<string, number>,
  helpLines: number,
  archive: LogArchive = NO_ARCHIVE,
): ViewContext {
  const screen = currentScreen(view);
  const { body } = frameOf(size);
  const scroll = scrolls.get(screen.type) ?? 0;
  const layout = layoutOf(board, screen, size, body, now, scroll, helpLines, archive);
  if ("scroll" in layout) scrolls.set(screen.type, layout.scroll);
  const selected = selectedOf(board, layout);
  return { board, view, screen, layout, selected, size, now, replay, archive };
}

function layoutOf(
  board: Board,
  screen: Screen,
  size: Size,
  height: number,
  now: number,
  scroll: number,
  helpLines: number,
  archive: LogArchive,
): Layout {
  switch (screen.type) {
    case "board":
      return layoutBoard(board, screen, height, now, scroll);
    case "list":
      return layoutList(board, screen, height, scroll);
    case "log":
      return layoutLog(board, screen, size.columns, Math.max(0, height - 1), archive);
    case "tree":
      return layoutTree(board, screen, height, scroll);
    case "machines":
      return layoutMachines(board, screen, height, scroll);
    case "failures":
      return layoutFailures(board, screen, height, scroll);
    case "rounds":
      return layoutRounds(board, screen, height, scroll);
    case "help":
      return layoutHelp(screen, helpLines, height);
  }
}

function selectedOf(board: Board, layout: Layout): Selected {
  if (layout.type === "log") {
    if (layout.build !== null) return { type: "build", build: layout.build, ended: layout.ended };
    return layout.goal === null ? { type: "none" } : { type: "goal", goal: layout.goal };
  }
  return itemOf(board, layout.selection.id, layout);
}

function itemOf(board: Board, id: ItemId | null, layout: Layout): Selected {
  if (id === null) return { type: "none" };
  const name = id.slice(id.indexOf(":") + 1);
  const kind = id.slice(0, id.indexOf(":"));
  if (kind === "machine") {
    for (const machine of board.machines.values()) if (machine.id === name) return { type: "machine", machine };
  }
  if (kind === "build" && layout.type === "board") {
    const row = layout.rows.find((candidate) => candidate.id === id);
    if (row?.type === "lane") return { type: "build", build: row.build, ended: row.ended };
    for (const build of board.builds.values()) if (build.claim === name) return { type: "build", build, ended: null };
  }
  if (kind === "waiting") {
    const group = board.tally.waiting.get(name);
    if (group !== undefined) return { type: "waiting", group };
  }
  if (kind === "hook") {
    for (const hook of board.hooks.values()) if (hook.id === name) return { type: "hook", hook };
  }
  if (kind === "goal" || kind === "failure") {
    const goal = goalByName(board, name);
    if (goal !== null) return { type: "goal", goal };
  }
  return { type: "none" };
}

function goalByName(board: Board, name: string): Goal | null {
  return (board.goals as ReadonlyMap<string, Goal>).get(name) ?? null;
}

/** The goal a selection is about, null when it is about none. */
export function goalOf(selected: Selected): Goal | null {
  if (selected.type === "goal") return selected.goal;
  return selected.type === "build" ? selected.build.goal : null;
}

/** The machine a selection is about: itself, or where the build runs. */
export function machineOfSelected(board: Board, selected: Selected): Machine | null {
  if (selected.type === "machine") return selected.machine;
  return selected.type === "build" ? (board.machines.get(selected.build.machine) ?? null) : null;
}
