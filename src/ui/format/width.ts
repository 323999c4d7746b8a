// Cells of a terminal: measuring, cutting and padding text that has been sanitised (no controls, no glued characters).
import { measure } from "./measure.ts";

const widths = new Map<string, number>();
const ASCII = /^[\x20-\x7e]*$/;

/** Cells the text takes. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** The longest start of the text that takes at most `width` cells. */
export function takeWidth(text: string, width: number): string {
  if (width <= 0) return "";
  if (text.length <= width && ASCII.test(text)) return text;
  let used = 0;
  let end = 0;
  for (const character of text) {
    const cells = characterWidth(character);
    if (used + cells > width) break;
    used += cells;
    end += character.length;
  }
  return text.slice(0, end);
}

/** The text, or as much of it as fits with `mark` at the end. */
export function truncate(text: string, width: number, mark = "…"): string {
  if (displayWidth(text) <= width) return text;
  const room = width - displayWidth(mark);
  return room < 0 ? takeWidth(mark, width) : takeWidth(text, room) + mark;
}

/** The text cut and filled with spaces to exactly `width` cells. */
export function fitWidth(text: string, width: number, align: "left" | "right" = "left", mark = "…"): string {
  const cut = truncate(text, Math.max(0, width), mark);
  const space = " ".repeat(Math.max(0, width - displayWidth(cut)));
  return align === "left" ? cut + space : space + cut;
}

/** The part of the text from cell `from` on, at most `width` cells: scrolling sideways. */
export function sliceCells(text: string, from: number, width: number): string {
  return takeWidth(text.slice(takeWidth(text, from).length), width);
}

function characterWidth(character: string): number {
  const code = character.charCodeAt(0);
  if (character.length === 1 && code >= 0x20 && code < 0x7f) return 1;
  const known = widths.get(character);
  if (known !== undefined) return known;
  const width = measure(character);
  if (widths.size < 20_000) widths.set(character, width);
  return width;
}
