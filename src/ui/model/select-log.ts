// The log of one build as lines on the screen: following its end, scrolled, searched, wrapped or shifted sideways.
import { MAX_LINE, type StyledSpan, sanitizeLine, sanitizeStyled, type TextStyle } from "../format/sanitize.ts";
import { displayWidth, sliceCells, takeWidth } from "../format/width.ts";
import { type Board, type Build, type EndedBuild, failureOf, type Goal } from "./board.ts";
import type { LogScreen } from "./view-state.ts";

/** One line of the screen: a log line, or a part of one that wraps. */
export interface LogRow {
  /** Number of the log line, null for a continuation. */
  readonly number: number | null;
  readonly spans: readonly StyledSpan[];
  readonly isMatch: boolean;
}

export interface LogLayout {
  readonly type: "log";
  readonly goal: Goal | null;
  readonly build: Build | null;
  readonly ended: EndedBuild | null;
  readonly rows: readonly LogRow[];
  /** Numbers of the first line that is still kept and of the first shown, and how many lines there were. */
  readonly first: number;
  readonly top: number;
  readonly total: number;
  readonly follows: boolean;
  readonly page: number;
  /** Cells of the number column, with its gap. */
  readonly gutter: number;
  readonly logFile: string | null;
}

/** Lines of a log wherever they are kept now. */
export interface LogSource {
  readonly first: number;
  readonly total: number;
  line(number: number): string | null;
}

export function layoutLog(board: Board, screen: LogScreen, width: number, height: number): LogLayout {
  const goal = board.goals.get(screen.goal) ?? null;
  const { build, ended } = executionOf(goal, screen);
  const source = logSource(goal, build);
  const gutter = width >= 60 ? Math.max(4, String(source.total).length) + 1 : 0;
  const textWidth = Math.max(1, width - gutter);
  const top = topLine(source, screen, textWidth, height);
  const rows: LogRow[] = [];
  for (let number = top; number < source.total && rows.length < height; number++)
    rows.push(...lineRows(source.line(number) ?? "", number, screen, textWidth));
  return {
    type: "log",
    goal,
    build,
    ended,
    rows: rows.slice(0, height),
    first: source.first,
    top,
    total: source.total,
    follows: screen.top === null,
    page: Math.max(1, height - 1),
    gutter,
    logFile: goal === null ? null : (failureOf(goal)?.logFile ?? null),
  };
}

/** The execution looked at: the one asked for while it is known, else the newest. */
function executionOf(goal: Goal | null, screen: LogScreen): { build: Build | null; ended: EndedBuild | null } {
  if (goal === null) return { build: null, ended: null };
  const running = goal.claims.find((build) => build.claim === screen.claim) ?? null;
  if (running !== null) return { build: running, ended: null };
  if (goal.lastBuild?.build.claim === screen.claim) return { build: goal.lastBuild.build, ended: goal.lastBuild };
  const newest = goal.claims.at(-1) ?? null;
  if (newest !== null) return { build: newest, ended: null };
  return { build: goal.lastBuild?.build ?? null, ended: goal.lastBuild };
}

/** A failure knows its decisive lines even when the build's own are gone. */
export function logSource(goal: Goal | null, build: Build | null): LogSource {
  if (build !== null && build.log.total > 0) return build.log;
  const tail = goal === null ? [] : (failureOf(goal)?.logTail ?? []);
  return { first: 0, total: tail.length, line: (number) => tail[number] ?? null };
}

/** The lines of the log looked at, for searching. */
export function sourceOf(board: Board, screen: LogScreen): LogSource {
  const goal = board.goals.get(screen.goal) ?? null;
  return logSource(goal, executionOf(goal, screen).build);
}

/** The first line that can be at the top with the end still at the bottom. */
function topLine(source: LogSource, screen: LogScreen, width: number, height: number): number {
  let last = Math.max(source.first, source.total - height);
  if (screen.wraps) {
    let rows = 0;
    last = source.total;
    while (last > source.first && rows < height) {
      rows += wrappedHeight(source.line(last - 1) ?? "", width);
      if (rows <= height) last--;
    }
  }
  return screen.top === null ? last : Math.min(Math.max(source.first, screen.top), last);
}

function wrappedHeight(raw: string, width: number): number {
  return Math.max(1, Math.ceil(displayWidth(sanitizeLine(raw)) / width));
}

function lineRows(raw: string, number: number, screen: LogScreen, width: number): readonly LogRow[] {
  // A line that is only cut needs no more of itself than is shown.
  const isWhole = screen.wraps || screen.search !== "";
  const spans = sanitizeStyled(raw, isWhole ? MAX_LINE : Math.min(MAX_LINE, screen.left + width + 1));
  const text = spans.map((span) => span.text).join("");
  const isMatch = screen.search !== "" && includesIgnoringCase(text, screen.search);
  if (!screen.wraps) return [{ number, spans: cutSpans(spans, screen.left, width), isMatch }];
  const rows: LogRow[] = [];
  const total = displayWidth(text);
  for (let from = 0; from < Math.max(1, total); from += width)
    rows.push({ number: from === 0 ? number : null, spans: cutSpans(spans, from, width), isMatch });
  return rows;
}

/** The part of a styled line from one column on. */
export function cutSpans(spans: readonly StyledSpan[], from: number, width: number): readonly StyledSpan[] {
  const result: { text: string; style: TextStyle }[] = [];
  let skip = from;
  let left = width;
  for (const span of spans) {
    if (left <= 0) break;
    const cells = displayWidth(span.text);
    if (skip >= cells) {
      skip -= cells;
      continue;
    }
    const text = skip > 0 ? sliceCells(span.text, skip, left) : takeWidth(span.text, left);
    skip = 0;
    left -= displayWidth(text);
    if (text !== "") result.push({ text, style: span.style });
  }
  return result;
}

/** Number of the next line that holds the text, going round once; null when none does. */
export function findLine(source: LogSource, text: string, from: number, direction: 1 | -1): number | null {
  const count = source.total - source.first;
  if (text === "" || count <= 0) return null;
  for (let step = 1; step <= count; step++) {
    const offset = (((from - source.first + direction * step) % count) + count) % count;
    const number = source.first + offset;
    if (includesIgnoringCase(sanitizeLine(source.line(number) ?? ""), text)) return number;
  }
  return null;
}

function includesIgnoringCase(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}
