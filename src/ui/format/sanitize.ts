// The one door for text from outside (logs, names, hosts, hook output): what leaves here cannot move the cursor, change the terminal,
// reorder the line or reach beyond its own cells. Colours may pass, as parsed styles.

import { DISPUTED, INVISIBLE, isWithin, KNOWN_MARKS } from "./code-points.ts";
import { measure } from "./measure.ts";

/** Longest line shown, in cells; what follows is cut and marked. */
export const MAX_LINE = 4096;

/** Code units looked at per line: bounds the work a line of many megabytes can ask for. */
const MAX_SCAN = 65_536;

/** Combining marks kept on one base character. */
const MAX_MARKS = 2;

/** A colour as SGR names it: 0-255 of the palette, or `#rrggbb`. */
export type SgrColor = number | string;

/** What SGR can set and this program lets through: no blink, no conceal, no background. */
export interface TextStyle {
  readonly color: SgrColor | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
}

export const PLAIN_STYLE: TextStyle = { color: null, bold: false, dim: false, italic: false, underline: false };

/** A run of text in one style. */
export interface StyledSpan {
  readonly text: string;
  readonly style: TextStyle;
}

// Text of these characters alone is passed as it is; everything else is looked at one by one.
const HARMLESS =
  /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u2319\u231c-\u23ff\u2500-\u25fc\u25ff-\u2613\u2616-\u27bf\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]*$/;

/** One line as plain text: colours and controls removed, `\r` overwrites as a terminal would, tabs become spaces. */
export function sanitizeLine(raw: string, maxLength: number = MAX_LINE): string {
  if (raw.length <= maxLength && HARMLESS.test(raw)) return raw;
  const line = new CellLine(maxLength);
  scan(raw, line, false);
  return line.text();
}

/** A name, host or message for one place of a row: like a line, and line ends become spaces. */
export function sanitizeText(raw: string, maxLength: number = MAX_LINE): string {
  if (raw.length <= maxLength && HARMLESS.test(raw)) return raw;
  return sanitizeLine(raw.replace(/[\n\r\v\f\x85\u2028\u2029]+/g, " "), maxLength).trim();
}

/** One line as runs of styled text. */
export function sanitizeStyled(raw: string, maxLength: number = MAX_LINE): readonly StyledSpan[] {
  if (raw.length <= maxLength && HARMLESS.test(raw)) return raw === "" ? [] : [{ text: raw, style: PLAIN_STYLE }];
  const line = new CellLine(maxLength);
  scan(raw, line, true);
  return line.spans();
}

/** One line with its colours written anew and ended: for terminals that show colour outside the board. */
export function sanitizeColored(raw: string, maxLength: number = MAX_LINE): string {
  return sanitizeStyled(raw, maxLength)
    .map(({ text, style }) => (style === PLAIN_STYLE ? text : `${sgrOf(style)}${text}\x1b[0m`))
    .join("");
}

/** The cells of one line while it is written, with a cursor as a terminal has one. */
class CellLine {
  private readonly cells: string[] = [];
  private readonly styles: TextStyle[] = [];
  private cursor = 0;
  private marks = 0;
  private isCut = false;
  private readonly maxLength: number;
  style: TextStyle = PLAIN_STYLE;

  constructor(maxLength: number) {
    this.maxLength = maxLength;
  }

  put(character: string): void {
    if (this.cursor >= this.maxLength) {
      this.isCut = true;
      return;
    }
    while (this.cells.length < this.cursor) this.fill();
    this.cells[this.cursor] = this.fitting(character);
    this.styles[this.cursor] = this.style;
    this.cursor++;
    this.marks = 0;
  }

  /** Adds a combining mark to the cell before the cursor; a mark with nothing to sit on is dropped. */
  mark(character: string): void {
    const before = this.cells[this.cursor - 1];
    if (before === undefined || !BASE.test(before) || this.isCut || this.marks >= MAX_MARKS) return;
    if (measure(character) !== 0 || measure(before + character) !== measure(before)) return;
    this.marks++;
    this.cells[this.cursor - 1] = before + character;
  }

  tab(): void {
    const stop = (Math.floor(this.cursor / 8) + 1) * 8;
    while (this.cursor < stop && this.cursor < this.maxLength) this.put(" ");
  }

  home(): void {
    this.cursor = 0;
    this.isCut = false;
  }

  back(): void {
    this.cursor = Math.max(0, this.cursor - 1);
  }

  /** CSI K: 0 to the end, 1 from the start, 2 all. */
  erase(mode: number): void {
    if (mode === 1) {
      for (let index = 0; index < this.cursor && index < this.cells.length; index++) this.cells[index] = " ";
      return;
    }
    const keep = mode === 2 ? 0 : Math.min(this.cursor, this.cells.length);
    this.cells.length = keep;
    this.styles.length = keep;
    this.isCut = false;
  }

  text(): string {
    return this.cells.join("") + (this.isCut ? "…" : "");
  }

  spans(): readonly StyledSpan[] {
    const spans: { text: string; style: TextStyle }[] = [];
    this.cells.forEach((cell, index) => {
      const style = this.styles[index] ?? PLAIN_STYLE;
      const last = spans.at(-1);
      if (last !== undefined && last.style === style) last.text += cell;
      else spans.push({ text: cell, style });
    });
    if (this.isCut) spans.push({ text: "…", style: PLAIN_STYLE });
    return spans;
  }

  /**
   * The character, unless it would melt into the one before: then terminals disagree about the width of the two, and everything after
   * them would stand in the wrong place.
   */
  private fitting(character: string): string {
    const before = this.cells[this.cursor - 1] ?? "";
    if ((before < "\u0300" && character < "\u0300") || !melts(before, character)) return character;
    const bare = Array.from(before)[0] ?? "";
    this.cells[this.cursor - 1] = melts(bare, character) ? "\ufffd" : bare;
    return character;
  }

  private fill(): void {
    this.cells.push(" ");
    this.styles.push(PLAIN_STYLE);
  }
}

function melts(before: string, after: string): boolean {
  return measure(before + after) !== measure(before) + measure(after);
}

function scan(raw: string, line: CellLine, keepStyles: boolean): void {
  const text = raw.length > MAX_SCAN ? raw.slice(0, MAX_SCAN) : raw;
  let index = 0;
  while (index < text.length) {
    const code = text.codePointAt(index) ?? 0;
    const length = code > 0xffff ? 2 : 1;
    if (code === 0x1b || (code >= 0x80 && code <= 0x9f)) {
      index = skipSequence(text, index, line, keepStyles);
      continue;
    }
    index += length;
    if (code >= 0x20 && code < 0x7f) line.put(text.charAt(index - 1));
    else putSpecial(code, line);
  }
}

function putSpecial(code: number, line: CellLine): void {
  if (code === 0x09) line.tab();
  else if (code === 0x0d) line.home();
  else if (code === 0x08) line.back();
  else if (code === 0x0a || code === 0x0b || code === 0x0c || code === 0x2028 || code === 0x2029) line.put(" ");
  else if (code >= 0xa0 && !(code >= 0xd800 && code <= 0xdfff)) putCharacter(code, line);
  else if (code > 0x7f) line.put("\ufffd");
}

function putCharacter(code: number, line: CellLine): void {
  const character = String.fromCodePoint(code);
  // Thai and Lao AM: terminals give the vowel in it a cell, Ink counts it to the letter before; its two parts are counted alike.
  const [nasal, vowel] = AM.get(code) ?? [];
  if (nasal !== undefined && vowel !== undefined) {
    putCharacter(nasal, line);
    putCharacter(vowel, line);
    return;
  }
  if (isWithin(code, INVISIBLE) || FORMAT.test(character)) return;
  if (isWithin(code, DISPUTED)) line.put("\ufffd");
  else if (!MARK.test(character)) line.put(character);
  else if (isWithin(code, KNOWN_MARKS)) line.mark(character);
}

const AM: ReadonlyMap<number, readonly [number, number]> = new Map([
  [0xe33, [0xe4d, 0xe32]],
  [0xeb3, [0xecd, 0xeb2]],
]);
const MARK = /^\p{M}$/u;
/** What a mark may sit on. */
const BASE = /^[\p{L}\p{N}]/u;
const FORMAT = /^\p{Cf}$/u;

/** Skips one escape or control sequence (ECMA-48) and returns where the text goes on; SGR and erase-in-line are obeyed. */
function skipSequence(text: string, start: number, line: CellLine, keepStyles: boolean): number {
  const first = text.charCodeAt(start);
  let index = start + 1;
  let kind = first;
  if (first === 0x1b) {
    const next = text.charCodeAt(index);
    if (Number.isNaN(next)) return index;
    if (next >= 0x40 && next <= 0x5f) {
      kind = next + 0x40;
      index++;
    } else {
      while (isBetween(text.charCodeAt(index), 0x20, 0x2f)) index++;
      return isBetween(text.charCodeAt(index), 0x30, 0x7e) ? index + 1 : index;
    }
  }
  if (kind === 0x9b) return skipCsi(text, index, line, keepStyles);
  if (kind === 0x90 || kind === 0x98 || kind === 0x9d || kind === 0x9e || kind === 0x9f) return skipString(text, index);
  return index;
}

function skipCsi(text: string, start: number, line: CellLine, keepStyles: boolean): number {
  let index = start;
  while (isBetween(text.charCodeAt(index), 0x30, 0x3f)) index++;
  const parameters = text.slice(start, index);
  const intermediates = index;
  while (isBetween(text.charCodeAt(index), 0x20, 0x2f)) index++;
  const final = text.charAt(index);
  if (!isBetween(final.charCodeAt(0), 0x40, 0x7e)) return index;
  if (intermediates === index && final === "K") line.erase(Number.parseInt(parameters || "0", 10));
  if (intermediates === index && final === "m" && keepStyles) line.style = applySgr(line.style, parameters);
  return index + 1;
}

/** Control strings end with BEL or ST; one that does not end takes the rest of the line, as it would in a terminal. */
function skipString(text: string, start: number): number {
  for (let index = start; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x07 || code === 0x9c) return index + 1;
    if (code === 0x1b) return text.charCodeAt(index + 1) === 0x5c ? index + 2 : index;
  }
  return text.length;
}

function isBetween(code: number, low: number, high: number): boolean {
  return code >= low && code <= high;
}

/** The style after one SGR sequence; what is not known leaves it as it is. */
export function applySgr(style: TextStyle, parameters: string): TextStyle {
  if (!/^[\d;:]*$/.test(parameters)) return style;
  const codes = parameters.split(/[;:]/).map((part) => (part === "" ? 0 : Number.parseInt(part, 10)));
  let next: TextStyle = style;
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index] ?? 0;
    if (code === 38 || code === 48) {
      const [color, used] = extendedColor(codes, index + 1);
      if (code === 38 && color !== null) next = { ...next, color };
      index += used;
    } else next = applySimple(next, code);
  }
  return isPlain(next) ? PLAIN_STYLE : next;
}

function applySimple(style: TextStyle, code: number): TextStyle {
  if (code === 0) return PLAIN_STYLE;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 3) return { ...style, italic: true };
  if (code === 4) return { ...style, underline: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 23) return { ...style, italic: false };
  if (code === 24) return { ...style, underline: false };
  if (code >= 30 && code <= 37) return { ...style, color: code - 30 };
  if (code === 39) return { ...style, color: null };
  if (code >= 90 && code <= 97) return { ...style, color: code - 90 + 8 };
  return style;
}

function extendedColor(codes: readonly number[], start: number): [SgrColor | null, number] {
  if (codes[start] === 5) {
    const index = codes[start + 1] ?? 0;
    return [index <= 255 ? index : null, 2];
  }
  if (codes[start] === 2) {
    const hex = codes.slice(start + 1, start + 4).map((part) => Math.min(255, part).toString(16).padStart(2, "0"));
    return [hex.length === 3 ? `#${hex.join("")}` : null, 4];
  }
  return [null, 0];
}

function isPlain(style: TextStyle): boolean {
  return style.color === null && !style.bold && !style.dim && !style.italic && !style.underline;
}

/** The SGR sequence that sets a style on a terminal in its default state. */
export function sgrOf(style: TextStyle): string {
  const codes: string[] = [];
  if (style.bold) codes.push("1");
  if (style.dim) codes.push("2");
  if (style.italic) codes.push("3");
  if (style.underline) codes.push("4");
  if (typeof style.color === "number") {
    if (style.color < 8) codes.push(String(30 + style.color));
    else if (style.color < 16) codes.push(String(82 + style.color));
    else codes.push(`38;5;${style.color}`);
  } else if (style.color !== null) {
    const value = Number.parseInt(style.color.slice(1), 16);
    codes.push(`38;2;${value >> 16};${(value >> 8) & 255};${value & 255}`);
  }
  return codes.length === 0 ? "" : `\x1b[${codes.join(";")}m`;
}
