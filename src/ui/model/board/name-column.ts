// How wide the column of names is: in steps and never narrower than it was, so that rows hold still while builds come and go.
import { sanitizeText } from "../../format/sanitize.ts";
import { displayWidth } from "../../format/width.ts";
import type { Board } from "./board.ts";

/** How much the column grows by at once, in cells. */
const STEP = 8;

/** Makes room for a name that is shown on the board from now on. */
export function noteName(board: Board, name: string): void {
  const cells = displayWidth(sanitizeText(name));
  if (cells > board.nameCells) board.nameCells = Math.ceil(cells / STEP) * STEP;
}

/** Cells for names where a row has `width` and names may have at most `share` of it. */
export function nameColumn(board: Board, width: number, share: number): number {
  return Math.min(board.nameCells, Math.max(10, Math.floor(width * share)));
}
