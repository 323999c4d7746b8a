// One row of the screen as parts of text: what is dropped, cut or stretched so that the row fits the width there is.
import { displayWidth, fitWidth, takeWidth } from "../../format/width.ts";
import { inCharset, type Theme, type Tone } from "../../theme.ts";

/** A piece of a row. Text must have been sanitised. */
export interface Part {
  readonly text: string;
  readonly tone: Tone;
  /** Exact cells: the text is cut or filled. */
  readonly width?: number;
  readonly align?: "left" | "right";
  /** May be cut down to this many cells; parts without are never cut before the row ends. */
  readonly min?: number;
  /** Takes what is left over, as spaces after its text. */
  readonly grows?: boolean;
  /** From 1: left out when the row is too narrow, highest first, those of one number together. */
  readonly drop?: number;
  /** Cells before it; 1 unless said otherwise, none for the first. */
  readonly gap?: number;
}

/** Text in one tone, ready to draw. */
export interface Segment {
  readonly text: string;
  readonly tone: Tone;
}

export function part(text: string, tone: Tone = "plain", options: Omit<Part, "text" | "tone"> = {}): Part {
  return { text, tone, ...options };
}

/** Lays the parts out in at most `width` cells; spaces at the end are left out. */
export function layoutParts(parts: readonly Part[], width: number, theme: Theme): readonly Segment[] {
  let kept = parts.filter((one) => one.text !== "" || one.width !== undefined || one.grows === true);
  while (leastWidth(kept) > width) {
    const dropped = Math.max(...kept.map((one) => one.drop ?? 0));
    if (dropped === 0) break;
    kept = kept.filter((one) => one.drop !== dropped);
  }
  const widths = kept.map(naturalWidth);
  let over = sum(widths) + gaps(kept) - width;
  if (over > 0) over = shrink(kept, widths, over);
  if (over < 0) stretch(kept, widths, -over);
  return toSegments(kept, widths, width, theme);
}

function toSegments(
  parts: readonly Part[],
  widths: readonly number[],
  width: number,
  theme: Theme,
): readonly Segment[] {
  const segments: Segment[] = [];
  const mark = theme.glyphs.ellipsis;
  let left = width;
  const push = (text: string, tone: Tone): void => {
    const shown = displayWidth(text) > left ? takeWidth(text, left) : text;
    left -= displayWidth(shown);
    const last = segments.at(-1);
    if (shown === "") return;
    // Spaces look the same in every tone: fewer changes of tone are fewer bytes and less work.
    if (last !== undefined && (last.tone === tone || isBlank(shown)))
      segments[segments.length - 1] = { text: last.text + shown, tone: last.tone };
    else segments.push({ text: shown, tone });
  };
  parts.forEach((one, index) => {
    if (index > 0) push(" ".repeat(one.gap ?? 1), "plain");
    push(fitWidth(inCharset(one.text, theme), widths[index] ?? 0, one.align, mark), one.tone);
  });
  return withoutTrailingSpace(segments);
}

/** Spaces at the end of a row say nothing, and each tone they came in would be written to the terminal. */
function withoutTrailingSpace(segments: readonly Segment[]): readonly Segment[] {
  const last = segments.at(-1);
  if (last === undefined) return [];
  const text = last.text.trimEnd();
  const rest = segments.slice(0, -1);
  return text === "" ? withoutTrailingSpace(rest) : [...rest, { text, tone: last.tone }];
}

/**
 * The segments in runs of ASCII and runs of anything else. Ink measures each text as a whole, four times a frame, and text that is not
 * ASCII character by character: one glyph must not cost the row.
 */
export function chunksOf(segments: readonly Segment[]): readonly (readonly Segment[])[] {
  const chunks: Segment[][] = [];
  let isAscii: boolean | null = null;
  for (const { text, tone } of segments) {
    for (const run of text.match(RUNS) ?? []) {
      const isAsciiRun = run.charCodeAt(0) < 0x7f;
      if (isAsciiRun !== isAscii) chunks.push([]);
      isAscii = isAsciiRun;
      chunks.at(-1)?.push({ text: run, tone });
    }
  }
  return chunks;
}

const RUNS = /[\x20-\x7e]+|[^\x20-\x7e]+/g;

function isBlank(text: string): boolean {
  return text.trim() === "";
}

/** Cuts the parts that allow it, the widest first; returns what is still too much. */
function shrink(parts: readonly Part[], widths: number[], over: number): number {
  let rest = over;
  while (rest > 0) {
    let widest = -1;
    parts.forEach((one, index) => {
      const width = widths[index] ?? 0;
      if (one.min !== undefined && width > one.min && (widest < 0 || width > (widths[widest] ?? 0))) widest = index;
    });
    if (widest < 0) return rest;
    widths[widest] = (widths[widest] ?? 0) - 1;
    rest--;
  }
  return 0;
}

function stretch(parts: readonly Part[], widths: number[], room: number): void {
  const growing = parts.map((one, index) => (one.grows === true ? index : -1)).filter((index) => index >= 0);
  growing.forEach((index, place) => {
    const share = Math.floor(room / growing.length) + (place < room % growing.length ? 1 : 0);
    widths[index] = (widths[index] ?? 0) + share;
  });
}

function naturalWidth(one: Part): number {
  return one.width ?? displayWidth(one.text);
}

function leastWidth(parts: readonly Part[]): number {
  return sum(parts.map((one) => Math.min(naturalWidth(one), one.min ?? Number.POSITIVE_INFINITY))) + gaps(parts);
}

function gaps(parts: readonly Part[]): number {
  return sum(parts.slice(1).map((one) => one.gap ?? 1));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
