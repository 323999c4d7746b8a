// The smaller screens: builders, failures and help as rows.
import type { Board, Goal, Machine } from "./board.ts";
import {
  type FailuresScreen,
  type HelpScreen,
  type ItemId,
  type ItemList,
  itemList,
  type MachinesScreen,
  resolveSelection,
  type Selection,
  stickyScroll,
} from "./view-state.ts";

export interface MachinesLayout {
  readonly type: "machines";
  readonly rows: readonly { readonly id: ItemId; readonly machine: Machine }[];
  readonly items: ItemList;
  readonly selection: Selection;
  readonly selected: Machine | null;
  readonly page: number;
  readonly scroll: number;
  /** Rows left for what is known of the selected machine. */
  readonly detailHeight: number;
}

/** A table of the machines, and below it everything known of the selected one. */
export function layoutMachines(board: Board, screen: MachinesScreen, height: number, scroll: number): MachinesLayout {
  const machines = [...board.machines.values()];
  const items = itemList(machines, (machine) => `machine:${machine.id}`);
  const selection = resolveSelection(screen.selection, items);
  const tableHeight = Math.max(1, Math.min(machines.length, height < 12 ? height - 1 : Math.floor(height * 0.6)));
  const top = stickyScroll(scroll, selection.index, tableHeight, machines.length);
  return {
    type: "machines",
    rows: machines.slice(top, top + tableHeight).map((machine) => ({ id: `machine:${machine.id}`, machine })),
    items,
    selection,
    selected: machines[selection.index] ?? null,
    page: Math.max(1, tableHeight - 1),
    scroll: top,
    detailHeight: Math.max(0, height - 1 - tableHeight - 1),
  };
}

export interface FailuresLayout {
  readonly type: "failures";
  readonly rows: readonly { readonly id: ItemId; readonly goal: Goal }[];
  readonly items: ItemList;
  readonly selection: Selection;
  readonly selected: Goal | null;
  readonly page: number;
  readonly scroll: number;
  readonly detailHeight: number;
}

/** The failures, and below them the message and last lines of the selected one. */
export function layoutFailures(board: Board, screen: FailuresScreen, height: number, scroll: number): FailuresLayout {
  const goals = [...board.failures];
  const items = itemList(goals, (goal) => `failure:${goal.id}`);
  const selection = resolveSelection(screen.selection, items);
  const tableHeight = Math.max(1, Math.min(Math.max(1, goals.length), Math.floor(height * 0.4)));
  const top = stickyScroll(scroll, selection.index, tableHeight, goals.length);
  return {
    type: "failures",
    rows: goals.slice(top, top + tableHeight).map((goal) => ({ id: `failure:${goal.id}`, goal })),
    items,
    selection,
    selected: goals[selection.index] ?? null,
    page: Math.max(1, tableHeight - 1),
    scroll: top,
    detailHeight: Math.max(0, height - tableHeight - 1),
  };
}

export interface HelpLayout {
  readonly type: "help";
  readonly top: number;
  readonly height: number;
  readonly items: ItemList;
  readonly selection: Selection;
  readonly page: number;
}

/** @param lines how many lines the help has in all */
export function layoutHelp(screen: HelpScreen, lines: number, height: number): HelpLayout {
  const top = Math.min(Math.max(0, screen.top), Math.max(0, lines - height));
  return {
    type: "help",
    top,
    height,
    items: NO_ITEMS,
    selection: { id: null, index: 0 },
    page: Math.max(1, height - 1),
  };
}

const NO_ITEMS: ItemList = { length: 0, at: () => undefined, indexOf: () => -1 };
