// How the board looks: tones and glyphs, with and without colour, in Unicode, in ASCII, and in words for a screen reader.

/** What a piece of text is, not what it looks like. */
export type Tone =
  | "plain"
  | "strong"
  | "dim"
  | "title"
  | "good"
  | "bad"
  | "warn"
  | "active"
  | "transfer"
  | "info"
  | "key"
  | "match"
  | "selected";

/** What Ink's Text takes for a tone. */
export interface ToneStyle {
  readonly color?: string;
  readonly bold?: boolean;
  readonly dimColor?: boolean;
  readonly inverse?: boolean;
  readonly underline?: boolean;
}

// The 16-colour palette only, and no bare blue or yellow text: both are unreadable on somebody's background.
const COLORED: Readonly<Record<Tone, ToneStyle>> = {
  plain: {},
  strong: { bold: true },
  dim: { dimColor: true },
  title: { bold: true },
  good: { color: "green" },
  bad: { color: "red", bold: true },
  warn: { color: "magenta" },
  active: { color: "cyan" },
  transfer: { color: "cyan" },
  info: { bold: true },
  key: { bold: true },
  match: { inverse: true },
  selected: { inverse: true },
};

const COLORLESS: Readonly<Record<Tone, ToneStyle>> = {
  ...COLORED,
  good: {},
  bad: { bold: true },
  warn: { bold: true },
  active: {},
  transfer: {},
};

/** Symbols of one cell each; a state is never told by colour alone. */
export interface Glyphs {
  readonly cursor: string;
  readonly running: string;
  readonly waiting: string;
  readonly good: string;
  readonly bad: string;
  readonly warn: string;
  readonly cancelled: string;
  readonly skipped: string;
  readonly planned: string;
  readonly idle: string;
  readonly up: string;
  readonly down: string;
  readonly target: string;
  readonly slotFull: string;
  readonly slotFree: string;
  readonly coreFull: string;
  readonly coreFree: string;
  readonly barDone: string;
  readonly barBad: string;
  readonly barActive: string;
  readonly barRest: string;
  readonly separator: string;
  readonly rule: string;
  readonly ellipsis: string;
  readonly caret: string;
  readonly enter: string;
  readonly arrows: string;
  readonly times: string;
}

const UNICODE: Glyphs = {
  cursor: "❯",
  running: "⏵",
  waiting: "○",
  good: "✔",
  bad: "✘",
  warn: "▲",
  cancelled: "■",
  skipped: "–",
  planned: "·",
  idle: "·",
  up: "↑",
  down: "↓",
  target: "★",
  slotFull: "█",
  slotFree: "░",
  coreFull: "▮",
  coreFree: "▯",
  barDone: "━",
  barBad: "━",
  barActive: "━",
  barRest: "─",
  separator: "·",
  rule: "─",
  ellipsis: "…",
  caret: "▏",
  enter: "⏎",
  arrows: "↑↓",
  times: "×",
};

const ASCII: Glyphs = {
  cursor: ">",
  running: ">",
  waiting: "o",
  good: "+",
  bad: "x",
  warn: "!",
  cancelled: "-",
  skipped: "-",
  planned: ".",
  idle: ".",
  up: "^",
  down: "v",
  target: "*",
  slotFull: "#",
  slotFree: ".",
  coreFull: "|",
  coreFree: ".",
  barDone: "=",
  barBad: "x",
  barActive: ">",
  barRest: "-",
  separator: "-",
  rule: "-",
  ellipsis: "~",
  caret: "_",
  enter: "Enter",
  arrows: "Up/Dn",
  times: "x",
};

const SPOKEN: Glyphs = {
  ...ASCII,
  cursor: "selected",
  running: "running",
  waiting: "waiting",
  good: "good",
  bad: "failed",
  warn: "attention",
  cancelled: "cancelled",
  skipped: "skipped",
  planned: "planned",
  idle: "idle",
  up: "sending",
  down: "receiving",
  target: "wanted",
  rule: "",
  ellipsis: "...",
  times: "times ",
};

/** Everything a component needs to know about looks. */
export interface Theme {
  readonly styles: Readonly<Record<Tone, ToneStyle>>;
  readonly glyphs: Glyphs;
  readonly isColored: boolean;
  readonly isAscii: boolean;
  /** Words instead of bars and symbols: somebody listens. */
  readonly isSpoken: boolean;
}

export function createTheme(options: {
  readonly color: boolean;
  readonly ascii: boolean;
  readonly spoken: boolean;
}): Theme {
  return {
    styles: options.color ? COLORED : COLORLESS,
    glyphs: options.spoken ? SPOKEN : options.ascii ? ASCII : UNICODE,
    isColored: options.color,
    isAscii: options.ascii,
    isSpoken: options.spoken,
  };
}

/** Text of this program in ASCII where the terminal shows nothing else; what comes from outside becomes `?` there. */
export function inCharset(text: string, theme: Theme): string {
  if (!theme.isAscii || /^[\x20-\x7e]*$/.test(text)) return text;
  return text
    .replace(/…/g, "~")
    .replace(/[·–—]/g, "-")
    .replace(/×/g, "x")
    .replace(/[^\x20-\x7e]/gu, "?");
}
