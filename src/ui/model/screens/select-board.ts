// Which rows the board shows in the room it has: machines with their lanes above, what waits, hooks and failures below, each in bounds.

import type { WaitingGroup, WaitingType } from "../board/board.ts";
import {
  type Board,
  type Build,
  type EndedBuild,
  type Goal,
  type Hook,
  isAtRest,
  type Lane,
  type Machine,
  type Notice,
} from "../board/board.ts";
import { LINGER_MS } from "../board/lanes.ts";
import {
  type BoardScreen,
  type ItemId,
  type ItemList,
  itemList,
  resolveSelection,
  type Selection,
  stickyScroll,
} from "../view/view-state.ts";

/** One line of the board; rows without an id cannot be selected. */
export type BoardRow =
  | { readonly type: "machine"; readonly id: ItemId; readonly machine: Machine }
  | { readonly type: "lane"; readonly id: ItemId; readonly build: Build; readonly ended: EndedBuild | null }
  | { readonly type: "idle"; readonly id: null; readonly slot: number }
  | {
      readonly type: "waiting";
      readonly id: ItemId;
      readonly group: WaitingGroup;
      readonly isFirst: boolean;
      readonly total: number;
    }
  | { readonly type: "hooks"; readonly id: null }
  | { readonly type: "hook"; readonly id: ItemId; readonly hook: Hook }
  | { readonly type: "failure"; readonly id: ItemId; readonly goal: Goal }
  | { readonly type: "notice"; readonly id: null; readonly notice: Notice }
  | { readonly type: "more"; readonly id: null; readonly text: string }
  | { readonly type: "blank"; readonly id: null };

/** The board's rows for one height. */
export interface BoardLayout {
  readonly type: "board";
  /** Exactly what is drawn, at most `height` rows. */
  readonly rows: readonly BoardRow[];
  readonly items: ItemList;
  readonly selection: Selection;
  /** Index of the first item of each panel, for Tab. */
  readonly panels: readonly number[];
  readonly page: number;
  /** First row shown of the machines, to come back to. */
  readonly scroll: number;
}

/** Notices disappear from the board after this time; they stay in the summary. */
const NOTICE_MS = 60_000;
const SHOWN_NOTICES = 2;
/** Below this height what runs needs the rows more than what waits does. */
const LOW = 10;

const WAITING_ORDER: readonly WaitingType[] = [
  "slots",
  "betterMachine",
  "coolingDown",
  "connecting",
  "cordoned",
  "backOff",
  "hook",
  "paused",
  "inputs",
];

export function layoutBoard(
  board: Board,
  screen: BoardScreen,
  height: number,
  now: number,
  scroll: number,
): BoardLayout {
  const bottom = bottomPanels(board, screen.filter, now);
  const bottomWant = bottom.reduce((sum, panel) => sum + panel.length, 0);
  const bottomRoom = Math.max(
    bottomWant > 0 && height > 2 ? 1 : 0,
    Math.min(Math.floor(height * 0.45), height < LOW ? 2 : height),
  );
  const all = machineRows(board, screen.filter, now, "all");
  let machines = all;
  let bottomHeight = bottomWant;
  if (machines.length + bottomWant + 1 > height) machines = machineRows(board, screen.filter, now, "used");
  if (machines.length + bottomWant + 1 > height) machines = machineRows(board, screen.filter, now, "busy");
  if (machines.length + bottomWant + 1 > height) machines = machineRows(board, screen.filter, now, "runningFirst");
  if (machines.length + bottomWant + 1 > height)
    bottomHeight = Math.min(bottomWant, Math.max(bottomRoom, height - machines.length - 1));
  const items = [...machines, ...bottom.flat()].filter((row) => row.id !== null);
  const list = itemList(items, (row) => row.id ?? "");
  const selection = resolveSelection(screen.selection, list);
  const separator = bottomHeight > 0 && height >= 8 ? 1 : 0;
  const topHeight = Math.max(0, height - bottomHeight - separator);
  const selectedRow = machines.findIndex((row) => row.id !== null && row.id === selection.id);
  const top = stickyScroll(scroll, Math.max(0, selectedRow), windowHeight(machines.length, topHeight), machines.length);
  const rows: BoardRow[] = spaced(machines, topHeight) ?? windowed(machines, top, topHeight);
  while (rows.length < topHeight) rows.push(BLANK);
  if (separator > 0) rows.push(BLANK);
  rows.push(...cutPanels(bottom, bottomHeight, selection.id));
  return {
    type: "board",
    rows: rows.slice(0, height),
    items: list,
    selection,
    panels: panelStarts([machines, ...bottom]),
    page: Math.max(1, topHeight - 1),
    scroll: top,
  };
}

const BLANK: BoardRow = { type: "blank", id: null };

/**
 * `all`: every slot has its row. `used`: rows up to the last slot in use, so that rows hold still. `busy`: only what runs or just ended.
 * `runningFirst`: only what runs, and machines where nothing does come last, since not all of it can be seen.
 */
type Lanes = "all" | "used" | "busy" | "runningFirst";

function machineRows(board: Board, filter: string, now: number, lanes: Lanes): readonly BoardRow[] {
  const rows: BoardRow[] = [];
  const idle: BoardRow[] = [];
  for (const machine of board.machines.values()) {
    const shown = laneRows(machine, filter, now, filter === "" ? lanes : "busy");
    if (filter !== "" && shown.length === 0 && !matches(machine.id, filter)) continue;
    const isLast = lanes === "runningFirst" && machine.busy === 0;
    (isLast ? idle : rows).push({ type: "machine", id: `machine:${machine.id}`, machine }, ...shown);
  }
  return [...rows, ...idle];
}

function laneRows(machine: Machine, filter: string, now: number, lanes: Lanes): readonly BoardRow[] {
  const rows: BoardRow[] = [];
  const isRow = (lane: Lane): boolean =>
    lane.type === "busy" || (lanes !== "runningFirst" && lane.type === "ended" && now - lane.ended.at < LINGER_MS);
  const lastUsed = machine.lanes.findLastIndex(isRow);
  machine.lanes.forEach((lane, slot) => {
    if (!isRow(lane)) {
      const keepsPlace = lanes === "all" || (lanes === "used" && slot < lastUsed);
      if (keepsPlace && canBuild(machine)) rows.push({ type: "idle", id: null, slot });
      return;
    }
    if (lane.type === "idle") return;
    const build = lane.type === "busy" ? lane.build : lane.ended.build;
    if (filter !== "" && !matches(build.goal.description.name, filter)) return;
    rows.push({ type: "lane", id: `build:${build.claim}`, build, ended: lane.type === "ended" ? lane.ended : null });
  });
  return rows;
}

/** Slots of a machine that is not there are no rows. */
function canBuild(machine: Machine): boolean {
  return machine.state.type !== "off" && machine.state.type !== "coolingDown";
}

function bottomPanels(board: Board, filter: string, now: number): readonly (readonly BoardRow[])[] {
  const groups = [...board.tally.waiting.values()].sort(
    (one, other) =>
      WAITING_ORDER.indexOf(one.type) - WAITING_ORDER.indexOf(other.type) || compare(one.label, other.label),
  );
  const total = groups.reduce((sum, group) => sum + group.goals.size, 0);
  const waiting = groups.map((group, index): BoardRow => {
    return { type: "waiting", id: `waiting:${group.label}`, group, isFirst: index === 0, total };
  });
  const hooks: BoardRow[] = [];
  const { hookTally } = board;
  if (
    hookTally.queued + hookTally.running + hookTally.retrying + hookTally.failed + hookTally.left + hookTally.givenUp >
    0
  )
    hooks.push({ type: "hooks", id: null });
  for (const hook of board.hooks.values())
    if (hook.state.type !== "queued") hooks.push({ type: "hook", id: `hook:${hook.id}`, hook });
  const failures: BoardRow[] = [];
  for (const goal of board.failures)
    if (filter === "" || matches(goal.description.name, filter))
      failures.push({ type: "failure", id: `failure:${goal.id}`, goal });
  const notices = board.notices
    .filter((notice) => notice.level !== "info" && (now - notice.at < NOTICE_MS || isAtRest(board.run)))
    .slice(-SHOWN_NOTICES)
    .map((notice): BoardRow => ({ type: "notice", id: null, notice }));
  return [waiting, hooks, failures, notices];
}

/** Machines set apart by a blank row where there is room for it. */
function spaced(machines: readonly BoardRow[], height: number): BoardRow[] | null {
  const count = machines.filter((row) => row.type === "machine").length;
  if (machines.length + count - 1 > height || count < 2) return machines.length <= height ? [...machines] : null;
  return machines.flatMap((row, index) => (row.type === "machine" && index > 0 ? [BLANK, row] : [row]));
}

/** The part of the rows from `top` on; where not all fit, the last row says how many are out of sight. */
function windowed(rows: readonly BoardRow[], top: number, height: number): BoardRow[] {
  if (rows.length <= height) return [...rows];
  const shown = rows.slice(top, top + windowHeight(rows.length, height));
  if (shown.length === height) return shown;
  const below = rows.length - top - shown.length;
  const hint = [top > 0 ? `${top} more above` : "", below > 0 ? `${below} more below` : ""].filter(
    (text) => text !== "",
  );
  return [...shown, { type: "more", id: null, text: hint.join(", ") }];
}

/** Rows left for items: too low a window has no row to spare for a hint. */
function windowHeight(count: number, height: number): number {
  return count > height && height >= 4 ? height - 1 : height;
}

/** Shares the rows among the panels: each that has something gets one, failures come before what waits. */
function cutPanels(
  panels: readonly (readonly BoardRow[])[],
  height: number,
  selected: ItemId | null,
): readonly BoardRow[] {
  const order = [2, 0, 1, 3];
  const share = panels.map(() => 0);
  let left = height;
  while (left > 0) {
    const next = order.filter((index) => (share[index] ?? 0) < (panels[index]?.length ?? 0));
    if (next.length === 0) break;
    for (const index of next) {
      if (left === 0) break;
      share[index] = (share[index] ?? 0) + 1;
      left--;
    }
  }
  return panels.flatMap((panel, index) => cutPanel(panel, share[index] ?? 0, selected));
}

function cutPanel(panel: readonly BoardRow[], height: number, selected: ItemId | null): readonly BoardRow[] {
  if (panel.length <= height) return panel;
  const at = panel.findIndex((row) => row.id !== null && row.id === selected);
  const top = stickyScroll(0, Math.max(0, at), height, panel.length);
  return panel.slice(top, top + height);
}

function panelStarts(panels: readonly (readonly BoardRow[])[]): readonly number[] {
  const starts: number[] = [];
  let index = 0;
  for (const panel of panels) {
    const count = panel.filter((row) => row.id !== null).length;
    if (count > 0) starts.push(index);
    index += count;
  }
  return starts;
}

export function matches(text: string, filter: string): boolean {
  return text.toLowerCase().includes(filter.toLowerCase());
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
