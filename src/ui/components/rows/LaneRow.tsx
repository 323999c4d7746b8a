// A slot's row on the board: one build with its sub-state, its time in that state beside the usual, and the last thing it said.
import type { ReactNode } from "react";
import { formatBytesOf } from "../../format/bytes.ts";
import { formatLaneClock } from "../../format/duration.ts";
import { sanitizeLine, sanitizeText } from "../../format/sanitize.ts";
import type { Board, Build, EndedBuild } from "../../model/board/board.ts";
import { GLIMPSE_MS } from "../../model/board/reduce-goal.ts";
import type { Theme, Tone } from "../../theme.ts";
import { progressBar } from "./bars.ts";
import { Line } from "./Line.tsx";
import { shortMessage } from "./PanelRows.tsx";
import { type Part, part } from "./parts.ts";

/** A build is called slow above this share of its usual time, and silent after this many ms. */
const SLOW_FACTOR = 1.5;
const SILENT_MS = 300_000;

type BuildStage = Build["stage"]["stage"];

export interface LaneRowProps {
  readonly board: Board;
  readonly build: Build;
  readonly ended: EndedBuild | null;
  readonly nameWidth: number;
  readonly width: number;
  readonly now: number;
  readonly theme: Theme;
  readonly isSelected: boolean;
}

export function LaneRow(props: LaneRowProps): ReactNode {
  const { build, ended, nameWidth, width, theme, isSelected } = props;
  const glyph = ended === null ? stageGlyph(build.stage.stage, theme) : endGlyph(ended, theme);
  const parts: Part[] = [
    part(isSelected ? theme.glyphs.cursor : " ", "key"),
    part(glyph.text, glyph.tone),
    part(sanitizeText(build.goal.description.name), ended === null ? "plain" : "dim", {
      width: nameWidth,
      min: Math.min(8, nameWidth),
    }),
    ...(ended === null ? runningParts(props) : endedParts(ended, width)),
  ];
  return <Line parts={parts} width={width} theme={theme} isSelected={isSelected} />;
}

/** An unused slot: it keeps its place. */
export function IdleRow({ width, theme }: { readonly width: number; readonly theme: Theme }): ReactNode {
  return <Line parts={[part(" ", "dim"), part(theme.glyphs.idle, "dim")]} width={width} theme={theme} />;
}

function runningParts({ board, build, width, now, theme }: LaneRowProps): readonly Part[] {
  const time = wholeSeconds(build.stage.since, now);
  const isBuilding = build.stage.stage === "building";
  const usual = isBuilding && build.expectedMs !== null ? `of ~${formatLaneClock(build.expectedMs)}` : "";
  const isSlow = isBuilding && build.expectedMs !== null && time > build.expectedMs * SLOW_FACTOR + 5000;
  const stage = stageText(board, build);
  const wide = width >= 110;
  const silent = isBuilding && now - (build.lastLogAt ?? build.stage.since) > SILENT_MS;
  const share =
    isBuilding && build.expectedMs !== null && build.expectedMs > 0 ? Math.min(1, time / build.expectedMs) : null;
  const last = glimpseOf(build, now);
  return [
    part(stage, isBuilding ? "dim" : "transfer", {
      width: stageWidth(width),
      min: 6,
      drop: 4,
    }),
    part(formatLaneClock(time), isSlow ? "warn" : "plain", { width: 7, align: "right" }),
    part(usual, "dim", { width: 10, drop: 6 }),
    part(share === null || theme.isSpoken ? "" : progressBar(share, 10, theme), isSlow ? "warn" : "good", {
      width: 10,
      drop: 8,
      gap: 2,
    }),
    part(silent ? `silent for ${formatLaneClock(now - (build.lastLogAt ?? build.stage.since))}` : "", "warn", {
      gap: 2,
      drop: 5,
    }),
    part(wide && last !== null && !silent ? sanitizeLine(last, 400) : "", "dim", {
      gap: 2,
      min: 0,
      grows: true,
      drop: 9,
    }),
  ];
}

function endedParts(ended: EndedBuild, width: number): readonly Part[] {
  const { result, build } = ended;
  const text = result.type === "alreadyValid" ? "already valid" : result.type;
  const why = result.type === "failed" ? shortMessage(result.message, build.goal) : "";
  return [
    part(text, result.type === "failed" ? "bad" : "dim", { width: stageWidth(width), min: 6, drop: 4 }),
    part(formatLaneClock(ended.durationMs), "dim", { width: 7, align: "right" }),
    part(why, "bad", { gap: 2, min: 0, grows: true, drop: 9 }),
  ];
}

/** Cells of the sub-state: a transfer with its sizes fits from 80 columns on. */
function stageWidth(width: number): number {
  if (width >= 150) return 30;
  return width >= 76 ? 23 : Math.max(10, Math.floor(width * 0.28));
}

/** All lanes count their seconds together: a row that does not change costs nothing. */
function wholeSeconds(since: number, now: number): number {
  return (Math.floor(now / 1000) - Math.floor(since / 1000)) * 1000;
}

/** The last line once the log rests, else one that is shown for a second. */
function glimpseOf(build: Build, now: number): string | null {
  const { glimpse, lastLogAt } = build;
  if (glimpse !== null && lastLogAt !== null && now - lastLogAt < GLIMPSE_MS) return glimpse.line;
  return build.log.line(build.log.total - 1);
}

const STAGE_TEXT: Readonly<Record<BuildStage, string>> = {
  preparing: "preparing",
  sendingInputs: "sending inputs",
  building: "building",
  receivingOutputs: "receiving outputs",
};

/** `round 2/3 buildPhase`, `sending 12.1/40.0 MiB`, `attempt 2 preparing`. */
export function stageText(board: Board, build: Build): string {
  const words: string[] = [];
  if (build.isCheck) words.push("check");
  if (build.rounds > 1) words.push(`round ${build.round}/${build.rounds}`);
  if (build.attempt > 1) words.push(`attempt ${build.attempt}`);
  const { stage } = build.stage;
  const transfer = transferText(board, build);
  if (stage === "building" && build.phase !== null) words.push(sanitizeText(build.phase.name, 60));
  else if (transfer !== "") words.push(`${stage === "sendingInputs" ? "sending" : "receiving"} ${transfer}`);
  else if (stage !== "building" || words.length === 0) words.push(STAGE_TEXT[stage]);
  return words.join(" ");
}

function transferText(board: Board, build: Build): string {
  if (build.stage.stage !== "sendingInputs" && build.stage.stage !== "receivingOutputs") return "";
  for (const copy of board.copies.values())
    if (copy.claim === build.claim && copy.expectedBytes > 0) return formatBytesOf(copy.doneBytes, copy.expectedBytes);
  return "";
}

function stageGlyph(stage: BuildStage, theme: Theme): { readonly text: string; readonly tone: Tone } {
  const { glyphs } = theme;
  if (stage === "sendingInputs") return { text: glyphs.up, tone: "transfer" };
  if (stage === "receivingOutputs") return { text: glyphs.down, tone: "transfer" };
  return { text: glyphs.running, tone: stage === "building" ? "good" : "dim" };
}

function endGlyph(ended: EndedBuild, theme: Theme): { readonly text: string; readonly tone: Tone } {
  const { glyphs } = theme;
  if (ended.result.type === "failed") return { text: glyphs.bad, tone: "bad" };
  if (ended.result.type === "cancelled") return { text: glyphs.cancelled, tone: "warn" };
  return { text: glyphs.good, tone: "good" };
}
