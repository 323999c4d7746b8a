// What is left of the run in words that promise no more than is known.
import { formatRough } from "../../format/duration.ts";
import type { Board } from "./board.ts";

/** Bounds this close are said as one number. */
const CLOSE_FACTOR = 1.5;
const CLOSE_MS = 10_000;

/** Of bounds further apart only the lower one says anything. */
const WIDE_FACTOR = 6;

/** `about 6m`, `4m to 9m`, `at least 6m`; empty where nothing honest can be said. */
export function estimateText(board: Board, now: number): string {
  if (board.estimate === null) return "";
  const { remaining, at } = board.estimate;
  const passed = Math.max(0, now - at);
  const low = Math.max(0, remaining.lowMs - passed);
  const high = Math.max(low, remaining.highMs - passed);
  if (high <= 0) return "";
  if (high > low * WIDE_FACTOR + CLOSE_MS) return low < 1000 ? "" : `at least ${formatRough(low)}`;
  if (high <= low * CLOSE_FACTOR + CLOSE_MS) return `about ${formatRough((low + high) / 2)}`;
  return `${formatRough(low)} to ${formatRough(high)}`;
}
