// A goal's state as a glyph, a tone and words: the same wherever it is shown.
import { formatBytesOf } from "../../format/bytes.ts";
import { formatClock, formatLaneClock } from "../../format/duration.ts";
import { sanitizeText } from "../../format/sanitize.ts";
import type { Board, Goal } from "../../model/board/board.ts";
import { waitingLabel } from "../../model/board/tally.ts";
import type { Theme, Tone } from "../../theme.ts";
import { stageText } from "./LaneRow.tsx";
import { shortMessage } from "./PanelRows.tsx";

export interface GoalWords {
  readonly glyph: string;
  readonly tone: Tone;
  /** `waiting for inputs: gcc-13.2.0`, `built on itchy`. */
  readonly text: string;
  /** Time in the state, or how long it took. */
  readonly time: string;
}

export function goalWords(board: Board, goal: Goal, now: number, theme: Theme): GoalWords {
  const { glyphs } = theme;
  const { state } = goal;
  switch (state.type) {
    case "planned":
      return { glyph: glyphs.planned, tone: "dim", text: "planned", time: "" };
    case "waiting":
      return {
        glyph: glyphs.waiting,
        tone: "dim",
        text: `waiting ${waitingText(board, goal, now)}`,
        time: formatLaneClock(now - state.since),
      };
    case "substituting": {
      const size = state.expectedBytes > 0 ? ` ${formatBytesOf(state.doneBytes, state.expectedBytes)}` : "";
      return {
        glyph: glyphs.down,
        tone: "transfer",
        text: `fetching${state.from === "" ? "" : ` from ${sanitizeText(state.from)}`}${size}`,
        time: formatLaneClock(now - state.since),
      };
    }
    case "building": {
      const text = goal.claims
        .map((build) => `${stageText(board, build)} on ${sanitizeText(build.machine)}`)
        .join("; ");
      const since = goal.claims.at(-1)?.stage.since ?? state.since;
      return {
        glyph: glyphs.running,
        tone: "good",
        text: text === "" ? "between rounds" : text,
        time: formatLaneClock(now - since),
      };
    }
    case "finished":
      return finishedWords(goal, theme);
  }
}

function finishedWords(goal: Goal, theme: Theme): GoalWords {
  const { glyphs } = theme;
  if (goal.state.type !== "finished") return { glyph: glyphs.planned, tone: "dim", text: "", time: "" };
  const { result } = goal.state;
  switch (result.type) {
    case "alreadyValid":
      return { glyph: glyphs.good, tone: "dim", text: "already valid", time: "" };
    case "substituted":
      return { glyph: glyphs.down, tone: "good", text: "substituted", time: "" };
    case "built": {
      const rounds = result.rounds > 1 ? `, ${result.rounds} rounds` : "";
      const differs = result.nonDeterministic ? ", not deterministic" : "";
      const text = `built on ${sanitizeText(result.machine)}${rounds}${differs}`;
      return {
        glyph: glyphs.good,
        tone: result.nonDeterministic ? "warn" : "good",
        text,
        time: formatLaneClock(result.durationMs),
      };
    }
    case "failed": {
      const where = result.failure.machine === null ? "" : ` on ${sanitizeText(result.failure.machine)}`;
      return {
        glyph: glyphs.bad,
        tone: "bad",
        text: shortMessage(result.failure.message, goal) + where,
        time: tookTime(goal),
      };
    }
    case "cancelled":
      return { glyph: glyphs.cancelled, tone: "warn", text: `cancelled: ${sanitizeText(result.reason)}`, time: "" };
    case "notBuilt":
      return { glyph: glyphs.skipped, tone: "dim", text: `not built: ${sanitizeText(result.reason)}`, time: "" };
  }
}

function tookTime(goal: Goal): string {
  return goal.lastBuild === null ? "" : formatLaneClock(goal.lastBuild.durationMs);
}

/** The reason with names and times: what is said of one goal, not of a group. */
export function waitingText(board: Board, goal: Goal, now: number): string {
  if (goal.state.type !== "waiting") return "";
  const { reason } = goal.state;
  const label = sanitizeText(waitingLabel(reason, goal.description));
  switch (reason.type) {
    case "inputs": {
      const names = reason.first
        .map((id) => sanitizeText(board.goals.get(id)?.description.name ?? ""))
        .filter((name) => name !== "");
      const more = reason.pending - names.length;
      const list = names.join(", ") + (more > 0 && names.length > 0 ? `, … ${more} more` : "");
      return `${label} (${reason.pending})${list === "" ? "" : `: ${list}`}`;
    }
    case "slots":
      return `${label}${reason.machines.length > 1 ? ` on ${sanitizeText(reason.machines.join(" or "))}` : ""}`;
    case "betterMachine":
      // Runs recorded before reasons were given have none.
      return `${label}, free in ${formatClock(reason.expectedAt - now)}${(reason.because ?? "") === "" ? "" : `: ${sanitizeText(reason.because)}`}`;
    case "coolingDown":
      return `${label}, in ${formatClock(reason.until - now)}`;
    case "backOff":
      return `${label} in ${formatClock(reason.until - now)} (attempt ${reason.attempt}): ${sanitizeText(reason.lastFailure)}`;
    default:
      return label;
  }
}
