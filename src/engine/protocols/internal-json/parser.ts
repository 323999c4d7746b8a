// Nix's `--log-format internal-json`: lines `@nix {…}` → messages and activities; any other line passes through (Nix: logging.cc, JSONLogger).
import type { LogField } from "../log-frame.ts";

/** One line of the log. Ids are 64 bits wide and exact; numbers of activities and results this program does not know survive. */
export type InternalLine =
  /** A line of something else than Nix's logger, as it came. */
  | { readonly type: "foreign"; readonly text: string }
  | { readonly type: "message"; readonly level: number; readonly text: string; readonly rawText: string | null }
  | {
      readonly type: "start";
      readonly id: bigint;
      readonly level: number;
      readonly activity: number;
      readonly text: string;
      readonly fields: readonly LogField[];
      readonly parent: bigint;
    }
  | { readonly type: "stop"; readonly id: bigint }
  | { readonly type: "result"; readonly id: bigint; readonly result: number; readonly fields: readonly LogField[] }
  /** A builder's own `@nix { "action": "setPhase" }`. */
  | { readonly type: "phase"; readonly phase: string }
  /** Well-formed, but of an action this program does not know. */
  | { readonly type: "unknown"; readonly action: string; readonly text: string }
  /** Begins with `@nix ` and is no object this program can read. */
  | { readonly type: "malformed"; readonly text: string };

const PREFIX = "@nix ";

/** Longest line that is kept whole; what is longer is cut into foreign lines. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Reads one line without its end. */
export function parseInternalLine(line: string): InternalLine {
  if (!line.startsWith(PREFIX)) return { type: "foreign", text: line };
  const value = parseExact(line.slice(PREFIX.length));
  if (value === null) return { type: "malformed", text: line };
  return lineOf(value, line) ?? { type: "malformed", text: line };
}

function lineOf(value: Readonly<Record<string, unknown>>, line: string): InternalLine | null {
  const { action } = value;
  switch (action) {
    case "msg": {
      if (typeof value.msg !== "string") return null;
      const rawText = typeof value.raw_msg === "string" ? value.raw_msg : null;
      return { type: "message", level: numberOf(value.level, 0), text: value.msg, rawText };
    }
    case "start": {
      const id = idOf(value.id);
      if (id === null) return null;
      return {
        type: "start",
        id,
        level: numberOf(value.level, 0),
        activity: numberOf(value.type, 0),
        text: typeof value.text === "string" ? value.text : "",
        fields: fieldsOf(value.fields),
        parent: idOf(value.parent) ?? 0n,
      };
    }
    case "stop": {
      const id = idOf(value.id);
      return id === null ? null : { type: "stop", id };
    }
    case "result": {
      const id = idOf(value.id);
      return id === null
        ? null
        : { type: "result", id, result: numberOf(value.type, 0), fields: fieldsOf(value.fields) };
    }
    case "setPhase":
      return typeof value.phase === "string" ? { type: "phase", phase: value.phase } : null;
    default:
      return typeof action === "string" ? { type: "unknown", action, text: line } : null;
  }
}

/** A number that may not survive as a double; also matches digits in a text, which costs only time. */
const LONG_NUMBER = /\d{16}/;

/** Parses a JSON object with all bits of its integers (those that need it as bigint); null for anything else. */
function parseExact(text: string): Readonly<Record<string, unknown>> | null {
  // The source text of a number is the only way to all of its 64 bits (ECMAScript, JSON.parse source text access).
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    if (typeof value !== "number") return value;
    const source = context?.source ?? "";
    return /^-?\d{1,20}$/.test(source) ? BigInt(source) : value;
  };
  try {
    // Asking for the source of every number takes several times as long.
    const value: unknown = LONG_NUMBER.test(text) ? JSON.parse(text, revive) : JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}

const MAX_ID = 2n ** 64n;

function idOf(value: unknown): bigint | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
  return typeof value === "bigint" && value >= 0n && value < MAX_ID ? value : null;
}

function numberOf(value: unknown, otherwise: number): number {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" ? value : otherwise;
}

function fieldsOf(value: unknown): readonly LogField[] {
  if (!Array.isArray(value)) return [];
  return value.map((field: unknown) =>
    typeof field === "bigint" || typeof field === "string"
      ? field
      : typeof field === "number"
        ? BigInt(Math.trunc(field))
        : "",
  );
}

/** Splits a stream of bytes into lines and reads them; chunks may end anywhere, also within a character. */
export class InternalJsonParser {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that this chunk completes. */
  push(chunk: Uint8Array): InternalLine[] {
    let text = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const lines: InternalLine[] = [];
    let start = 0;
    // Bytes kept from before hold no line end.
    for (let end = text.indexOf(10, this.#rest.length); end >= 0; end = text.indexOf(10, start)) {
      lines.push(parseInternalLine(text.toString("utf8", start, end)));
      start = end + 1;
    }
    text = text.subarray(start);
    if (text.length > MAX_LINE_BYTES) {
      lines.push({ type: "foreign", text: text.toString("utf8") });
      text = Buffer.alloc(0);
    }
    this.#rest = text;
    return lines;
  }

  /** The last line, where it has no end. */
  end(): InternalLine[] {
    if (this.#rest.length === 0) return [];
    const line = parseInternalLine(this.#rest.toString("utf8"));
    this.#rest = Buffer.alloc(0);
    return [line];
  }
}
