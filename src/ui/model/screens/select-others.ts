// The smaller screens: builders, failures and help as rows.
import type { Board, Goal, Machine } from "../board/board.ts";
import type { FailuresScreen, HelpScreen, ItemId, ItemList, MachinesScreen, Selection } from "../view/view-state.ts";
import { layoutTable, type TableLayout } from "./table-layout.ts";

export interface MachinesLayout extends Omit<TableLayout<Machine>, "shown"> {
  readonly type: "machines";
  readonly rows: readonly { readonly id: ItemId; readonly machine: Machine }[];
  /** Rows left for what is known of the selected machine. */
  readonly detailHeight: number;
}

/** A table of the machines, and below it everything known of the selected one. */
export function layoutMachines(board: Board, screen: MachinesScreen, height: number, scroll: number): MachinesLayout {
  const machines = [...board.machines.values()];
  const idOf = (machine: Machine): ItemId => `machine:${machine.id}`;
  const tableHeight = Math.max(1, Math.min(machines.length, height < 12 ? height - 1 : Math.floor(height * 0.6)));
  const { shown, ...table } = layoutTable(machines, idOf, screen.selection, tableHeight, scroll);
  return {
    type: "machines",
    ...table,
    rows: shown.map((machine) => ({ id: idOf(machine), machine })),
    detailHeight: Math.max(0, height - 1 - tableHeight - 1),
  };
}

export interface FailuresLayout extends Omit<TableLayout<Goal>, "shown"> {
  readonly type: "failures";
  readonly rows: readonly { readonly id: ItemId; readonly goal: Goal }[];
  readonly detailHeight: number;
}

/** The failures, and below them the message and last lines of the selected one. */
export function layoutFailures(board: Board, screen: FailuresScreen, height: number, scroll: number): FailuresLayout {
  const goals = [...board.failures];
  const idOf = (goal: Goal): ItemId => `failure:${goal.id}`;
  const tableHeight = Math.max(1, Math.min(Math.max(1, goals.length), Math.floor(height * 0.4)));
  const { shown, ...table } = layoutTable(goals, idOf, screen.selection, tableHeight, scroll);
  return {
    type: "failures",
    ...table,
    rows: shown.map((goal) => ({ id: idOf(goal), goal })),
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
