// What the screen of rounds and checks shows: the goals that are compared, how each stands, and what is known of the selected one.
import type { MachineId } from "../../../engine/events/ids.ts";
import type { Board, Goal } from "../board/board.ts";
import type { ItemId, RoundsScreen } from "../view/view-state.ts";
import { layoutTable, type TableLayout } from "./table-layout.ts";

/** How a compared goal stands. `comparing`: rounds are still to come. `unverified`: it ended with nothing to compare. */
export type RoundsVerdict = "comparing" | "reproducible" | "differs" | "unverified" | "failed" | "cancelled";

/** One round as it is known now; of several tries the last. */
export interface RoundState {
  readonly round: number;
  readonly machine: MachineId;
  /** `running` while it is built. */
  readonly verdict: "first" | "same" | "differs" | "running";
}

export interface RoundsLayout extends Omit<TableLayout<Goal>, "shown"> {
  readonly type: "rounds";
  readonly rows: readonly { readonly id: ItemId; readonly goal: Goal }[];
  readonly counts: Readonly<Record<RoundsVerdict, number>>;
  readonly detailHeight: number;
}

/** The goals that differ first, then the others as they began to be compared; below them what is known of the selected one. */
export function layoutRounds(board: Board, screen: RoundsScreen, height: number, scroll: number): RoundsLayout {
  const counts: Record<RoundsVerdict, number> = {
    comparing: 0,
    reproducible: 0,
    differs: 0,
    unverified: 0,
    failed: 0,
    cancelled: 0,
  };
  const differing: Goal[] = [];
  const others: Goal[] = [];
  for (const goal of board.compared) {
    const verdict = roundsVerdict(goal);
    counts[verdict]++;
    (verdict === "differs" ? differing : others).push(goal);
  }
  const goals = [...differing, ...others];
  const idOf = (goal: Goal): ItemId => `goal:${goal.id}`;
  const tableHeight = Math.max(1, Math.min(Math.max(1, goals.length), Math.floor(height * 0.4)));
  const { shown, ...table } = layoutTable(goals, idOf, screen.selection, tableHeight, scroll);
  return {
    type: "rounds",
    ...table,
    rows: shown.map((goal) => ({ id: idOf(goal), goal })),
    counts,
    detailHeight: Math.max(0, height - 1 - tableHeight - 1),
  };
}

/** The verdict on a goal; the same as in the report of the run once it has ended. */
export function roundsVerdict(goal: Goal): RoundsVerdict {
  if (goal.differences.length > 0 || goal.rounds.some((round) => round.verdict === "differs")) return "differs";
  if (goal.state.type !== "finished") return "comparing";
  const { type } = goal.state.result;
  if (type === "failed" || type === "cancelled") return type;
  return goal.rounds.some((round) => round.verdict === "same") ? "reproducible" : "unverified";
}

/** The rounds in order, those that run included. */
export function roundStates(goal: Goal): readonly RoundState[] {
  const states = new Map<number, RoundState>();
  for (const { round, machine, verdict } of goal.rounds) states.set(round, { round, machine, verdict });
  for (const { round, machine } of goal.claims) {
    if (!states.has(round)) states.set(round, { round, machine, verdict: "running" });
  }
  return [...states.values()].sort((one, other) => one.round - other.round);
}
