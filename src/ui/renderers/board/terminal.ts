// What the board asks of a terminal beside drawing: title, task bar progress, clipboard, size; each is taken back on the way out.
import type { Board } from "../../model/board/board.ts";
import { countersOf } from "../../model/board/tally.ts";
import type { Size } from "../../model/view/context.ts";
import type { Environment, OutputStream } from "../renderer.ts";

const ESC = "\x1b";
const ST = `${ESC}\\`;
/** Most bytes put on the clipboard: terminals ignore more. */
const MAX_CLIPBOARD = 74_000;

/** Size of the terminal; streams that report nothing useful count as 80 × 24. */
export function sizeOf(stream: OutputStream): Size {
  const columns = stream.columns ?? 0;
  const rows = stream.rows ?? 0;
  return { columns: columns > 0 ? columns : 80, rows: rows > 0 ? rows : 24 };
}

/** Puts text on the clipboard of the terminal the user sits at (OSC 52), also through tmux and SSH. */
export function clipboardSequence(text: string): string {
  const bytes = Buffer.from(text, "utf8").subarray(0, MAX_CLIPBOARD);
  return `${ESC}]52;c;${bytes.toString("base64")}\x07`;
}

/** Terminals known to take OSC 9;4 as progress; others show it as a message. */
export function hasTaskbarProgress(env: Environment): boolean {
  const program = env.TERM_PROGRAM ?? "";
  if ((env.TMUX ?? "") !== "") return false;
  return (env.WT_SESSION ?? "") !== "" || env.ConEmuANSI === "ON" || program === "ghostty" || program === "WezTerm";
}

export interface TerminalSigns {
  /** Brings title and progress up to date; says nothing when nothing changed. */
  show(board: Board): void;
  /** Takes both back. */
  clear(): void;
}

/** Title and task bar of the terminal. The old title is kept by the terminal (XTWINOPS 22 and 23) and comes back at the end. */
export function createTerminalSigns(write: (text: string) => void, env: Environment): TerminalSigns {
  const showsProgress = hasTaskbarProgress(env);
  let title: string | null = null;
  let progress = "";
  return {
    show: (board) => {
      const next = titleOf(board);
      if (title === null) write(`${ESC}[22;0t`);
      if (next !== title) write(`${ESC}]2;${next}${ST}`);
      title = next;
      if (!showsProgress) return;
      const state = progressOf(board);
      if (state !== progress) write(`${ESC}]9;4;${state}${ST}`);
      progress = state;
    },
    clear: () => {
      if (title !== null) write(`${ESC}[23;0t`);
      if (progress !== "") write(`${ESC}]9;4;0;0${ST}`);
      title = null;
      progress = "";
    },
  };
}

/** Nothing of the title comes from outside. */
function titleOf(board: Board): string {
  const { done, expected, failed } = countersOf(board);
  const failures = failed > 0 ? `, ${failed} failed` : "";
  if (board.run.type === "held") return `tsbuild-top: failed${failures}`;
  if (board.run.type === "finished")
    return `tsbuild-top: ${board.run.outcome.exitStatus === 0 ? "done" : "failed"}${failures}`;
  return expected === 0 ? "tsbuild-top" : `tsbuild-top: ${done}/${expected} built${failures}`;
}

/** State and percentage of OSC 9;4: 1 is normal, 2 an error, 3 not known. */
function progressOf(board: Board): string {
  const { done, expected, failed } = countersOf(board);
  if (expected === 0) return "3;0";
  return `${failed > 0 ? 2 : 1};${Math.floor(((done + failed) / expected) * 100)}`;
}
