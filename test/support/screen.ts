// A terminal as the user sees it: bytes in, the text and styles of the screen out; and the streams a program believes to be one.
import { EventEmitter } from "node:events";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import xterm from "@xterm/headless";

/** One cell of the screen with its look. */
export interface ScreenCell {
  readonly text: string;
  readonly width: number;
  readonly color: { readonly mode: "default" | "palette" | "rgb"; readonly value: number };
  readonly background: { readonly mode: "default" | "palette" | "rgb"; readonly value: number };
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
}

export interface Screen {
  write(text: string): void;
  /** Waits until everything written is on the screen. */
  settled(): Promise<void>;
  resize(columns: number, rows: number): void;
  /** The rows of the screen, without spaces at their ends. */
  text(): string;
  rows(): readonly string[];
  cells(): readonly (readonly ScreenCell[])[];
  /** Everything above the screen on the main buffer. */
  scrollback(): readonly string[];
  isAlternate(): boolean;
  cursor(): { readonly x: number; readonly y: number };
  dispose(): void;
}

export function createScreen(columns: number, rows: number): Screen {
  // The line discipline of a terminal turns a line feed into carriage return and line feed, as its programs expect.
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    allowProposedApi: true,
    scrollback: 5000,
    convertEol: true,
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  const lineText = (index: number): string => terminal.buffer.active.getLine(index)?.translateToString(true) ?? "";
  const screenRows = (): readonly string[] => {
    const { baseY } = terminal.buffer.active;
    return Array.from({ length: terminal.rows }, (_, row) => lineText(baseY + row));
  };
  return {
    write: (text) => terminal.write(text),
    settled: () => new Promise((resolve) => terminal.write("", resolve)),
    resize: (nextColumns, nextRows) => terminal.resize(nextColumns, nextRows),
    text: () => `${screenRows().join("\n").trimEnd()}\n`,
    rows: screenRows,
    cells: () => {
      const { baseY } = terminal.buffer.active;
      return Array.from({ length: terminal.rows }, (_, row) => cellsOf(terminal, baseY + row));
    },
    scrollback: () => {
      const buffer = terminal.buffer.normal;
      return Array.from({ length: buffer.length }, (_, row) => buffer.getLine(row)?.translateToString(true) ?? "");
    },
    isAlternate: () => terminal.buffer.active.type === "alternate",
    cursor: () => ({ x: terminal.buffer.active.cursorX, y: terminal.buffer.active.cursorY }),
    dispose: () => terminal.dispose(),
  };
}

function cellsOf(terminal: InstanceType<typeof xterm.Terminal>, row: number): readonly ScreenCell[] {
  const line = terminal.buffer.active.getLine(row);
  if (line === undefined) return [];
  return Array.from({ length: terminal.cols }, (_, column): ScreenCell => {
    const cell = line.getCell(column);
    if (cell === undefined) throw new Error(`no cell ${row}:${column}`);
    return {
      text: cell.getChars(),
      width: cell.getWidth(),
      color: { mode: cell.isFgRGB() ? "rgb" : cell.isFgPalette() ? "palette" : "default", value: cell.getFgColor() },
      background: {
        mode: cell.isBgRGB() ? "rgb" : cell.isBgPalette() ? "palette" : "default",
        value: cell.getBgColor(),
      },
      bold: cell.isBold() !== 0,
      dim: cell.isDim() !== 0,
      italic: cell.isItalic() !== 0,
      underline: cell.isUnderline() !== 0,
      inverse: cell.isInverse() !== 0,
    };
  });
}

/** The output side of a terminal: what is written appears on the screen. */
export class ScreenOutput extends EventEmitter {
  readonly isTTY = true;
  readonly writable = true;
  columns: number;
  rows: number;
  written = "";
  private readonly screen: Screen;

  constructor(screen: Screen, columns: number, rows: number) {
    super();
    this.screen = screen;
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string | Uint8Array, encoding?: unknown, done?: unknown): boolean {
    const bytes = typeof text === "string" ? text : Buffer.from(text).toString("utf8");
    this.written += bytes;
    this.screen.write(bytes);
    const callback = typeof encoding === "function" ? encoding : done;
    if (typeof callback === "function") callback();
    return true;
  }

  getColorDepth(): number {
    return 24;
  }

  hasColors(): boolean {
    return true;
  }

  /** As when the user drags the window: the terminal first, then the program is told. */
  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.screen.resize(columns, rows);
    this.emit("resize");
  }
}

/** The input side: a keyboard. */
export class ScreenInput extends EventEmitter {
  readonly isTTY = true;
  isRaw = false;
  private readonly pending: string[] = [];

  setEncoding(): this {
    return this;
  }

  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw;
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  pause(): this {
    return this;
  }

  resume(): this {
    return this;
  }

  read(): string | null {
    return this.pending.shift() ?? null;
  }

  /** Bytes as a terminal sends them. */
  type(text: string): void {
    this.pending.push(text);
    this.emit("readable");
    this.emit("data", text);
  }
}
