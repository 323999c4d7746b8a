// The log of one build: a title that says what it is and how it goes, then its lines in their own colours.
import { Text } from "ink";
import type { ReactNode } from "react";
import { plural } from "../../format/counts.ts";
import { formatLaneClock } from "../../format/duration.ts";
import { type StyledSpan, sanitizeText, type TextStyle } from "../../format/sanitize.ts";
import { displayWidth } from "../../format/width.ts";
import type { LogLayout, LogRow } from "../../model/screens/select-log.ts";
import type { ViewContext } from "../../model/view/context.ts";
import type { LogScreen } from "../../model/view/view-state.ts";
import { inCharset, type Theme, type ToneStyle } from "../../theme.ts";
import { goalWords } from "../rows/goal-words.ts";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { type Part, part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

export function LogView({
  context,
  layout,
  screen,
  height,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: LogLayout;
  readonly screen: LogScreen;
  readonly height: number;
  readonly theme: Theme;
}): ReactNode {
  const width = context.size.columns;
  const empty = layout.total === 0 && height > 1;
  return (
    <>
      <Line parts={titleParts(context, layout, screen, theme)} width={width} theme={theme} />
      {inPlace(layout.rows, (row) => (
        <LogLine row={row} gutter={layout.gutter} width={width} theme={theme} />
      ))}
      {empty && <Line parts={[part(" "), part(emptyText(layout), "dim")]} width={width} theme={theme} />}
      <Blank count={height - 1 - layout.rows.length - (empty ? 1 : 0)} width={width} theme={theme} />
    </>
  );
}

function titleParts(context: ViewContext, layout: LogLayout, screen: LogScreen, theme: Theme): readonly Part[] {
  const { board, now } = context;
  if (layout.goal === null) return [part("this build is not known", "warn")];
  const words = goalWords(board, layout.goal, now, theme);
  const build = layout.build;
  const position =
    layout.total === 0
      ? ""
      : layout.follows
        ? `following ${plural(layout.total, "line")}`
        : `line ${layout.top + 1} of ${layout.total}${layout.first > 0 ? `, kept from ${layout.first + 1}` : ""}`;
  return [
    part(words.glyph, words.tone),
    part(sanitizeText(layout.goal.description.name), "title", { min: 10 }),
    part(build === null ? words.text : `${words.text}`, "dim", { gap: 2, min: 0, drop: 4 }),
    part(layout.ended === null ? words.time : formatLaneClock(layout.ended.durationMs), "plain", { gap: 2, drop: 3 }),
    part("", "plain", { grows: true, gap: 0 }),
    part(screen.search === "" ? "" : `/${sanitizeText(screen.search)}`, "warn", { gap: 2, drop: 2 }),
    part(screen.left > 0 ? `column ${screen.left + 1}` : "", "dim", { gap: 2, drop: 5 }),
    part(position, layout.follows ? "good" : "warn", { gap: 2, drop: 1 }),
  ];
}

function emptyText(layout: LogLayout): string {
  if (layout.logFile !== null)
    return `its lines are no longer kept here; the whole log is in ${sanitizeText(layout.logFile)}`;
  return layout.build === null ? "it has not been built in this run" : "it has printed nothing yet";
}

function LogLine({
  row,
  gutter,
  width,
  theme,
}: {
  readonly row: LogRow;
  readonly gutter: number;
  readonly width: number;
  readonly theme: Theme;
}): ReactNode {
  const number = gutter === 0 ? "" : `${(row.number === null ? "" : String(row.number + 1)).padStart(gutter - 1)} `;
  const used = gutter + row.spans.reduce((sum, span) => sum + displayWidth(span.text), 0);
  const rest = " ".repeat(Math.max(0, width - used));
  return (
    <Text wrap="truncate">
      {number !== "" && <Text {...(row.isMatch ? theme.styles.match : theme.styles.dim)}>{number}</Text>}
      {inPlace(row.spans, (span) => (
        <Text {...spanStyle(span, row.isMatch, theme)}>{inCharset(span.text, theme)}</Text>
      ))}
      {rest}
    </Text>
  );
}

const PALETTE = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;
const BRIGHT = [
  "gray",
  "redBright",
  "greenBright",
  "yellowBright",
  "blueBright",
  "magentaBright",
  "cyanBright",
  "whiteBright",
] as const;

/** A log's own colours, as far as this terminal is shown any. */
function spanStyle(span: StyledSpan, isMatch: boolean, theme: Theme): ToneStyle & { readonly italic?: boolean } {
  const { style } = span;
  const color = theme.isColored ? colorOf(style) : null;
  return {
    ...(color === null ? {} : { color }),
    ...(style.bold || isMatch ? { bold: true } : {}),
    ...(style.dim ? { dimColor: true } : {}),
    ...(style.italic ? { italic: true } : {}),
    ...(style.underline || isMatch ? { underline: true } : {}),
  };
}

function colorOf(style: TextStyle): string | null {
  if (style.color === null) return null;
  if (typeof style.color === "string") return style.color;
  if (style.color < 8) return PALETTE[style.color] ?? null;
  if (style.color < 16) return BRIGHT[style.color - 8] ?? null;
  return `ansi256(${style.color})`;
}
