// The dependency view: one goal, what it waits for and what waits for it.
import type { Board, Goal } from "../board/board.ts";
import { statusOf } from "../board/tally.ts";
import {
  type ItemId,
  type ItemList,
  itemList,
  resolveSelection,
  type Selection,
  stickyScroll,
  type TreeScreen,
} from "../view/view-state.ts";

export type TreeRow =
  | {
      readonly type: "heading";
      readonly id: null;
      readonly text: string;
      readonly goals: readonly Goal[];
    }
  | { readonly type: "goal"; readonly id: ItemId; readonly goal: Goal; readonly isFocus: boolean };

/** How the goals of one heading stand: those that have not ended, and those that ended without a result. */
export interface Standing {
  readonly open: number;
  readonly lost: number;
}

export interface TreeLayout {
  readonly type: "tree";
  readonly focus: Goal | null;
  readonly rows: readonly TreeRow[];
  readonly items: ItemList;
  readonly selection: Selection;
  readonly page: number;
  readonly scroll: number;
  /** Index of the first item of inputs, focus, dependants. */
  readonly panels: readonly number[];
}

interface Neighbourhood {
  readonly key: string;
  readonly rows: readonly TreeRow[];
  readonly items: readonly TreeRow[];
}

const known = new WeakMap<Board, Neighbourhood>();

export function layoutTree(board: Board, screen: TreeScreen, height: number, scroll: number): TreeLayout {
  const focus = board.goals.get(screen.goal) ?? null;
  const { rows, items } = focus === null ? { rows: [], items: [] } : neighbourhood(board, focus);
  const list = itemList(items, (row) => row.id ?? "");
  const wanted =
    screen.selection.id === null && focus !== null ? { id: `goal:${focus.id}`, index: 0 } : screen.selection;
  const selection = resolveSelection(wanted, list);
  const selectedRow = rows.findIndex((row) => row.id !== null && row.id === selection.id);
  const top = stickyScroll(scroll, Math.max(0, selectedRow), height, rows.length);
  const starts = [0, items.findIndex((row) => row.type === "goal" && row.isFocus)];
  if ((starts[1] ?? 0) + 1 < items.length) starts.push((starts[1] ?? 0) + 1);
  return {
    type: "tree",
    focus,
    rows: rows.slice(top, top + height),
    items: list,
    selection,
    page: Math.max(1, height - 1),
    scroll: top,
    panels: [...new Set(starts)],
  };
}

/** Rows hold still while one goal is looked at: their order is decided when it comes into focus. */
function neighbourhood(board: Board, focus: Goal): Neighbourhood {
  const key = `${focus.id} ${board.goalsRevision}`;
  const before = known.get(board);
  if (before?.key === key) return before;
  const inputs = orderGoals(
    focus.description.inputs.map((id) => board.goals.get(id)).filter((goal) => goal !== undefined),
  );
  const dependants = orderGoals(focus.dependants);
  const rows: TreeRow[] = [
    { type: "heading", id: null, text: "needs", goals: inputs },
    ...inputs.map((goal): TreeRow => ({ type: "goal", id: `goal:${goal.id}`, goal, isFocus: false })),
    { type: "goal", id: `goal:${focus.id}`, goal: focus, isFocus: true },
    { type: "heading", id: null, text: "needed by", goals: dependants },
    ...dependants.map((goal): TreeRow => ({ type: "goal", id: `goal:${goal.id}`, goal, isFocus: false })),
  ];
  const fresh = { key, rows, items: rows.filter((row) => row.id !== null) };
  known.set(board, fresh);
  return fresh;
}

/** Ended is not done: what failed, was cancelled or was never built has ended, too. */
export function standingOf(goals: readonly Goal[]): Standing {
  const open = goals.filter((goal) => goal.state.type !== "finished").length;
  const lost = goals.filter((goal) => ["failed", "cancelled", "notBuilt"].includes(statusOf(goal.state))).length;
  return { open, lost };
}

const ORDER = [
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

function orderGoals(goals: readonly Goal[]): readonly Goal[] {
  return [...goals].sort(
    (one, other) =>
      ORDER.indexOf(statusOf(one.state)) - ORDER.indexOf(statusOf(other.state)) || one.index - other.index,
  );
}
