// The cells of a screen as an SVG: text in a fixed grid, and blocks and rules as shapes, so that they meet whatever the font.
import type { ScreenCell } from "./screen.ts";

const CELL_WIDTH = 9;
const CELL_HEIGHT = 19;
const FONT_SIZE = 15;
const BASELINE = 14.5;
const PADDING = 14;
const BAR = 30;

const BACKGROUND = "#16181d";
const FOREGROUND = "#d6d9e0";

const PALETTE = [
  "#30343f",
  "#e8606a",
  "#8bc97f",
  "#e3b76a",
  "#6fa8f0",
  "#cf8be0",
  "#58c1c9",
  "#d6d9e0",
  "#6b7280",
  "#ff8087",
  "#a8e29b",
  "#f5cf8a",
  "#93c1ff",
  "#e3abf2",
  "#7fdde4",
  "#ffffff",
];

/** A window with the screen in it. */
export function screenSvg(cells: readonly (readonly ScreenCell[])[], title: string): string {
  const columns = Math.max(...cells.map((row) => row.length));
  const width = columns * CELL_WIDTH + 2 * PADDING;
  const height = cells.length * CELL_HEIGHT + 2 * PADDING + BAR;
  const body: string[] = [];
  cells.forEach((row, y) => {
    body.push(...rowSvg(row, PADDING, BAR + PADDING + y * CELL_HEIGHT));
  });
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map(
    (color, index) => `<circle cx="${18 + index * 18}" cy="${BAR / 2 + 1}" r="5.5" fill="${color}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${xmlText(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="9" fill="${BACKGROUND}"/>`,
    ...dots,
    `<text x="${width / 2}" y="${BAR / 2 + 5}" fill="#8b909c" font-family="DejaVu Sans, sans-serif" font-size="13" text-anchor="middle">${xmlText(title)}</text>`,
    `<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="${FONT_SIZE}" xml:space="preserve">`,
    ...body,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

interface Look {
  readonly color: string;
  readonly background: string | null;
  readonly bold: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly opacity: number;
}

function rowSvg(row: readonly ScreenCell[], left: number, top: number): string[] {
  const parts: string[] = backgroundSvg(row, left, top);
  let run = "";
  let runStart = 0;
  let runLook: Look | null = null;
  const flush = (): void => {
    if (runLook !== null && run.trim() !== "") parts.push(textSvg(run, left + runStart * CELL_WIDTH, top, runLook));
    run = "";
  };
  row.forEach((cell, x) => {
    const look = lookOf(cell);
    const shape = shapeSvg(cell.text, left + x * CELL_WIDTH, top, look);
    if (shape !== null || cell.width === 0 || cell.width === 2 || runLook === null || !sameLook(look, runLook)) flush();
    if (shape !== null) {
      parts.push(shape);
      runLook = null;
      return;
    }
    if (cell.width === 0) return;
    if (run === "") {
      runStart = x;
      runLook = look;
    }
    run += cell.text === "" ? " " : cell.text;
    if (cell.width === 2) flush();
  });
  flush();
  return parts;
}

/** One rectangle a run of cells: seams between cells would show. */
function backgroundSvg(row: readonly ScreenCell[], left: number, top: number): string[] {
  const parts: string[] = [];
  let start = 0;
  const backgrounds = row.map((cell) => lookOf(cell).background);
  for (let x = 1; x <= row.length; x++) {
    if (x < row.length && backgrounds[x] === backgrounds[start]) continue;
    const fill = backgrounds[start] ?? null;
    if (fill !== null)
      parts.push(
        `<rect x="${left + start * CELL_WIDTH}" y="${top}" width="${(x - start) * CELL_WIDTH}" height="${CELL_HEIGHT}" fill="${fill}"/>`,
      );
    start = x;
  }
  return parts;
}

function textSvg(raw: string, x: number, top: number, look: Look): string {
  const lead = raw.length - raw.trimStart().length;
  const text = raw.trim();
  const attributes = [
    `x="${x + lead * CELL_WIDTH}"`,
    `y="${top + BASELINE}"`,
    `fill="${look.color}"`,
    text.length > 1 ? `textLength="${text.length * CELL_WIDTH}" lengthAdjust="spacingAndGlyphs"` : "",
    look.bold ? 'font-weight="bold"' : "",
    look.italic ? 'font-style="italic"' : "",
    look.underline ? 'text-decoration="underline"' : "",
    look.opacity < 1 ? `opacity="${look.opacity}"` : "",
  ].filter((attribute) => attribute !== "");
  return `<text ${attributes.join(" ")}>${xmlText(text)}</text>`;
}

/** Glyphs that must meet their neighbours, or that fonts draw differently. */
function shapeSvg(text: string, x: number, top: number, look: Look): string | null {
  const rect = (dx: number, dy: number, width: number, height: number, extra = ""): string =>
    `<rect x="${x + dx}" y="${top + dy}" width="${width}" height="${height}" fill="${look.color}" opacity="${look.opacity}"${extra}/>`;
  switch (text) {
    case "█":
      return rect(0, 3, CELL_WIDTH - 1, CELL_HEIGHT - 6, ' rx="1"');
    case "░":
      return `<rect x="${x}" y="${top + 3}" width="${CELL_WIDTH - 1}" height="${CELL_HEIGHT - 6}" rx="1" fill="${look.color}" opacity="${0.22 * look.opacity}"/>`;
    case "▮":
      return rect(1.5, 4, CELL_WIDTH - 3.5, CELL_HEIGHT - 8, ' rx="1"');
    case "▯":
      return `<rect x="${x + 2}" y="${top + 4.5}" width="${CELL_WIDTH - 4.5}" height="${CELL_HEIGHT - 9}" rx="1" fill="none" stroke="${look.color}" opacity="${0.55 * look.opacity}"/>`;
    case "━":
      return rect(0, CELL_HEIGHT / 2 - 1.5, CELL_WIDTH, 3);
    case "─":
      return rect(0, CELL_HEIGHT / 2 - 0.5, CELL_WIDTH, 1);
    case "⏵":
      return `<path d="M${x + 1.5} ${top + 5}L${x + 8} ${top + 9.5}L${x + 1.5} ${top + 14}Z" fill="${look.color}" opacity="${look.opacity}"/>`;
    default:
      return null;
  }
}

function lookOf(cell: ScreenCell): Look {
  const color = colorOf(cell.color) ?? FOREGROUND;
  const background = colorOf(cell.background);
  const shown = cell.inverse
    ? { color: background ?? BACKGROUND, background: colorOf(cell.color) ?? "#b9bfcc" }
    : { color, background };
  return { ...shown, bold: cell.bold, italic: cell.italic, underline: cell.underline, opacity: cell.dim ? 0.62 : 1 };
}

function colorOf(color: ScreenCell["color"]): string | null {
  if (color.mode === "default") return null;
  if (color.mode === "rgb") return `#${color.value.toString(16).padStart(6, "0")}`;
  if (color.value < 16) return PALETTE[color.value] ?? FOREGROUND;
  if (color.value >= 232) {
    const grey = (8 + (color.value - 232) * 10).toString(16).padStart(2, "0");
    return `#${grey}${grey}${grey}`;
  }
  const level = (step: number): string => (step === 0 ? 0 : 55 + step * 40).toString(16).padStart(2, "0");
  const index = color.value - 16;
  return `#${level(Math.floor(index / 36))}${level(Math.floor(index / 6) % 6)}${level(index % 6)}`;
}

function sameLook(one: Look, other: Look): boolean {
  return (
    one.color === other.color &&
    one.background === other.background &&
    one.bold === other.bold &&
    one.italic === other.italic &&
    one.underline === other.underline &&
    one.opacity === other.opacity
  );
}

function xmlText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
