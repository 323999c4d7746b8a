// The top of every screen: Nix's counters, time, what is left, cores, and how the run goes; below it the progress as a rule.
import type { ReactNode } from "react";
import { formatCounters } from "../format/counts.ts";
import { formatClock, formatElapsed } from "../format/duration.ts";
import { sanitizeText } from "../format/sanitize.ts";
import { type Board, isAtRest } from "../model/board/board.ts";
import { measuredCores } from "../model/board/core-use.ts";
import { estimateText } from "../model/board/estimate.ts";
import { countersOf } from "../model/board/tally.ts";
import type { ReplayState, ViewContext } from "../model/view/context.ts";
import type { Theme, Tone } from "../theme.ts";
import { progressParts } from "./rows/bars.ts";
import { Line } from "./rows/Line.tsx";
import { type Part, part } from "./rows/parts.ts";

export interface HeaderProps {
  readonly context: ViewContext;
  readonly theme: Theme;
  /** One row, or two with the rule. */
  readonly height: number;
}

export function Header({ context, theme, height }: HeaderProps): ReactNode {
  const { board, now, size, replay } = context;
  const counters = countersOf(board);
  const elapsed = board.startedAt === null ? 0 : (isAtRest(board.run) ? board.run.at : now) - board.startedAt;
  const left = isAtRest(board.run) ? "" : estimateText(board, now);
  const verdict = verdictPart(board, theme);
  const parts: Part[] = [
    part("tsbuild-top", "title", { drop: 6 }),
    part(formatCounters(counters), "plain", { gap: 2 }),
    part(formatElapsed(elapsed), "plain", { gap: 3, drop: 2 }),
    part(left === "" ? "" : `${left} left`, "plain", { gap: 3, drop: 3 }),
    part(coresText(board), "plain", { gap: 3, drop: 5 }),
    part(filterText(context), "warn", { gap: 3, drop: 1 }),
    part("", "plain", { grows: true, gap: 0 }),
    part(replay === null ? "" : replayText(replay), "warn", { gap: 2, drop: 1 }),
    verdict,
  ];
  return (
    <>
      <Line parts={parts} width={size.columns} theme={theme} />
      {height > 1 && <Line parts={progressParts(counters, size.columns, theme)} width={size.columns} theme={theme} />}
    </>
  );
}

/** What hides rows of the board must be seen. */
function filterText({ screen, view }: ViewContext): string {
  return screen.type === "board" && screen.filter !== "" && view.input === null
    ? `/${sanitizeText(screen.filter)}`
    : "";
}

function coresText(board: Board): string {
  const { busy, cores } = measuredCores(board.machines.values());
  return cores === 0 ? "" : `cores ${busy.toFixed(busy < 10 ? 1 : 0)}/${cores}`;
}

function replayText(replay: ReplayState): string {
  const speed = replay.isPaused ? "paused" : replay.speed === 0 ? "max" : `${replay.speed}×`;
  return `replay ${speed} ${formatClock(replay.position)}/${formatClock(replay.length)}`;
}

/** How the run goes: its stage, that it is paused or stopping, or how it ended. Colour and word come from the same value. */
function verdictPart(board: Board, theme: Theme): Part {
  const [text, tone] = verdict(board, theme);
  // How it ends says more than the figures beside it.
  const isUsual = board.run.type === "notStarted" || board.run.type === "running";
  return part(text, tone, { gap: 2, drop: 4, min: isUsual ? 4 : Math.min(text.length, 20) });
}

function verdict(board: Board, theme: Theme): readonly [string, Tone] {
  switch (board.run.type) {
    case "notStarted":
      return ["starting", "dim"];
    case "finished": {
      const { exitStatus, interrupted } = board.run.outcome;
      if (interrupted) return [`${theme.glyphs.warn} interrupted`, "warn"];
      return exitStatus === 0
        ? [`${theme.glyphs.good} done`, "good"]
        : [`${theme.glyphs.bad} failed (${exitStatus})`, "bad"];
    }
    case "held":
      return [`${theme.glyphs.bad} failed (${board.run.exitStatus}): R tries again, q leaves`, "bad"];
    case "stopping":
      return [board.run.how === "drain" ? "finishing what runs" : "cancelling", "warn"];
    case "running":
      if (board.isPaused) return ["dispatch paused", "warn"];
      if (board.stage === null) return ["starting", "dim"];
      return [
        sanitizeText(board.stage.detail === "" ? board.stage.stage : `${board.stage.stage} ${board.stage.detail}`, 60),
        "dim",
      ];
  }
}
