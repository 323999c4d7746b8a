// The log of one build as lines on the screen: following its end, scrolled, searched, wrapped or shifted sideways.
import { MAX_LINE, type StyledSpan, sanitizeLine, sanitizeStyled, type TextStyle } from "../../format/sanitize.ts";
import { displayWidth, sliceCells, takeWidth } from "../../format/width.ts";
import { type Board, type Build, type EndedBuild, failureOf, type Goal } from "../board/board.ts";
import type { LogScreen } from "../view/view-state.ts";

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

/** Lines by their numbers from 0; null for what is not there. */
export interface LogLines {
  line(number: number): string | null;
}

/** Logs on disk: what is no longer in memory. */
export interface LogArchive {
  /** The lines of a file, null when it cannot be read. */
  linesOf(file: string): LogLines | null;
}

/** Lines of a log wherever they are kept now. */
export interface LogSource extends LogLines {
  readonly first: number;
  readonly total: number;
}

export function layoutLog(
  board: Board,
  screen: LogScreen,
  width: number,
  height: number,
  archive: LogArchive,
): LogLayout {
  const goal = board.goals.get(screen.goal) ?? null;
  const { build, ended } = executionOf(goal, screen);
  const source = logSource(goal, build, archive);
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
    logFile: build?.logFile ?? (goal === null ? null : (failureOf(goal)?.logFile ?? null)),
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

/** The newest lines are in memory, older ones on disk; a failure knows its decisive lines even when the build's own are gone. */
export function logSource(goal: Goal | null, build: Build | null, archive: LogArchive): LogSource {
  if (build !== null && build.log.total > 0) {
    const { log } = build;
    if (log.first === 0 || build.logFile === null) return log;
    const older = archive.linesOf(build.logFile);
    if (older === null) return log;
    return { first: 0, total: log.total, line: (number) => log.line(number) ?? older.line(number) };
  }
  const tail = goal === null ? [] : (failureOf(goal)?.logTail ?? []);
  return { first: 0, total: tail.length, line: (number) => tail[number] ?? null };
}

/** The lines of the log looked at, for searching. */
export function sourceOf(board: Board, screen: LogScreen, archive: LogArchive): LogSource {
  const goal = board.goals.get(screen.goal) ?? null;
  return logSource(goal, executionOf(goal, screen).build, archive);
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

/** What searching came to: a line, none in the whole log, or none up to the line where it stopped. */
export type SearchResult = { readonly type: "found" | "stopped"; readonly number: number } | { readonly type: "none" };

/** Lines looked at in one go: about a second's work. */
const MAX_SEARCHED = 1_000_000;
/** A line with these may show something else than it holds. */
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/;

/** Looks for the next line that holds the text, going round once. */
export function findLine(
  source: LogSource,
  text: string,
  from: number,
  direction: 1 | -1,
  limit: number = MAX_SEARCHED,
): SearchResult {
  const count = source.total - source.first;
  if (text === "" || count <= 0) return { type: "none" };
  const wanted = text.toLowerCase();
  let number = from;
  for (let step = 1; step <= count; step++) {
    const offset = (((from - source.first + direction * step) % count) + count) % count;
    number = source.first + offset;
    const raw = source.line(number) ?? "";
    if ((CONTROLS.test(raw) ? sanitizeLine(raw) : raw).toLowerCase().includes(wanted)) return { type: "found", number };
    if (step >= limit && step < count) return { type: "stopped", number };
  }
  return { type: "none" };
}

function includesIgnoringCase(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}
