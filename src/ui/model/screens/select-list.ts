// All goals as a list that can be sorted and filtered; its rows keep their place while it is looked at, however many there are.
import type { Board, Goal } from "../board/board.ts";
import { GOAL_STATUSES } from "../board/board.ts";
import { statusOf } from "../board/tally.ts";
import {
  type ItemId,
  type ItemList,
  type ListScreen,
  type ListShow,
  resolveSelection,
  type Selection,
  stickyScroll,
} from "../view/view-state.ts";
import { matches } from "./select-board.ts";

export interface ListLayout {
  readonly type: "list";
  readonly rows: readonly { readonly id: ItemId; readonly goal: Goal }[];
  readonly items: ItemList;
  readonly selection: Selection;
  readonly page: number;
  readonly scroll: number;
  /** Goals that match, and all there are. */
  readonly shown: number;
  readonly total: number;
}

interface Pinned {
  readonly key: string;
  readonly goals: readonly Goal[];
  readonly places: ReadonlyMap<ItemId, number>;
}

const pinned = new WeakMap<Board, Pinned>();

export function layoutList(board: Board, screen: ListScreen, height: number, scroll: number): ListLayout {
  const { goals, places } = pinnedGoals(board, screen);
  const items: ItemList = {
    length: goals.length,
    at: (index) => (goals[index] === undefined ? undefined : `goal:${goals[index].id}`),
    indexOf: (id) => places.get(id) ?? -1,
  };
  const selection = resolveSelection(screen.selection, items);
  const rowsHeight = Math.max(0, height - 1);
  const top = stickyScroll(scroll, selection.index, rowsHeight, goals.length);
  const rows = goals.slice(top, top + rowsHeight).map((goal) => ({ id: `goal:${goal.id}`, goal }));
  const page = Math.max(1, rowsHeight - 1);
  return {
    type: "list",
    rows,
    items,
    selection,
    page,
    scroll: top,
    shown: goals.length,
    total: board.goalOrder.length,
  };
}

/** The goals in the order they had when the list was opened, sorted or filtered; new ones join at their place. */
function pinnedGoals(board: Board, screen: ListScreen): Pinned {
  const { filter, sort, isReversed, show, group, pin } = screen;
  const key = JSON.stringify([filter, sort, isReversed, show, group, pin, board.goalsRevision]);
  const known = pinned.get(board);
  if (known?.key === key) return known;
  const goals = board.goalOrder.filter((goal) => isListed(board, goal, filter, show, group));
  sortGoals(goals, screen);
  const places = new Map(goals.map((goal, index) => [`goal:${goal.id}`, index]));
  const fresh = { key, goals, places };
  pinned.set(board, fresh);
  return fresh;
}

function isListed(board: Board, goal: Goal, filter: string, show: ListShow, group: string | null): boolean {
  if (filter !== "" && !matches(goal.description.name, filter)) return false;
  if (group !== null) return board.tally.waiting.get(group)?.goals.has(goal) === true;
  const status = statusOf(goal.state);
  switch (show) {
    case "all":
      return true;
    case "unfinished":
      return goal.state.type !== "finished";
    case "building":
      return status === "building" || status === "substituting";
    case "waiting":
      return status === "waiting" || status === "planned";
    case "failed":
      return status === "failed" || status === "cancelled" || status === "notBuilt";
    case "built":
      return status === "built" || status === "substituted";
  }
}

const STATUS_ORDER = [
  "failed",
  "building",
  "substituting",
  "waiting",
  "planned",
  "cancelled",
  "notBuilt",
  "built",
  "substituted",
  "alreadyValid",
];

function sortGoals(goals: Goal[], screen: ListScreen): void {
  switch (screen.sort) {
    case "plan":
      break;
    case "name":
      sortBy(goals, (goal) => goal.description.name.toLowerCase());
      break;
    case "status":
      sortBy(goals, (goal) => STATUS_ORDER.indexOf(statusOf(goal.state)));
      break;
    case "time":
      sortBy(goals, (goal) => -timeOf(goal));
      break;
    case "machine":
      sortBy(goals, (goal) => machineOf(goal) ?? "\uffff");
      break;
  }
  if (screen.isReversed) goals.reverse();
}

/** Stable: goals that compare equal stay in the order of the plan. */
function sortBy(goals: Goal[], key: (goal: Goal) => string | number): void {
  const keyed = goals.map((goal) => ({ goal, key: key(goal) }));
  keyed.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
  keyed.forEach(({ goal }, index) => {
    goals[index] = goal;
  });
}

/** How long it built, is expected to, or 0. */
function timeOf(goal: Goal): number {
  if (goal.state.type === "finished" && goal.state.result.type === "built") return goal.state.result.durationMs;
  return goal.lastBuild?.durationMs ?? goal.description.expectedMs ?? 0;
}

/** Where the goal runs, or ran last. */
export function machineOf(goal: Goal): string | null {
  return goal.claims.at(-1)?.machine ?? goal.lastBuild?.build.machine ?? null;
}

/** How many goals are in each status, for the line above the list. */
export function statusCounts(
  board: Board,
): readonly { readonly status: (typeof GOAL_STATUSES)[number]; readonly count: number }[] {
  return GOAL_STATUSES.map((status) => ({
    status,
    count: board.tally.byStatus.derivation[status] + board.tally.byStatus.path[status],
  })).filter(({ count }) => count > 0);
}
