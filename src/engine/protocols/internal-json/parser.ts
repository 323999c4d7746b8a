// Nix's `--log-format internal-json`: lines `@nix {…}` → messages and activities; any other line passes through (Nix: logging.cc, JSONLogger).
import type { LogField } from "../log-frame.ts";

/** One line of the log. Ids are exact 64-bit numbers; numbers of activities and results unknown to this program are kept. */
export type InternalLine =
  /** A line that is not from Nix's logger, as it came. */
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
  /** Well-formed, but with an action this program does not know. */
  | { readonly type: "unknown"; readonly action: string; readonly text: string }
  /** Begins with `@nix `, but is not an object this program can read. */
  | { readonly type: "malformed"; readonly text: string };

const PREFIX = "@nix ";

/** Longest line that is kept whole; longer ones are cut into foreign lines. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Parses one line without its line end. */
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

/** Parses a JSON object with exact integers (bigint where a double is not enough); null for anything else. */
function parseExact(text: string): Readonly<Record<string, unknown>> | null {
  // Only the source text of a number has all of its 64 bits (ECMAScript, JSON.parse source text access).
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    if (typeof value !== "number") return value;
    const source = context?.source ?? "";
    return /^-?\d{1,20}$/.test(source) ? BigInt(source) : value;
  };
  try {
    const fast: unknown = JSON.parse(text);
    // Reading the source of every number takes several times as long, and few processes have ids that need it.
    const value: unknown = isExact(fast) ? fast : JSON.parse(text, revive);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}

/** Whether every number that matters has survived as a double. */
function isExact(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  const { id, parent, fields } = value as Readonly<Record<string, unknown>>;
  if (isLossy(id) || isLossy(parent)) return false;
  return !Array.isArray(fields) || !fields.some(isLossy);
}

function isLossy(value: unknown): boolean {
  return typeof value === "number" && !Number.isSafeInteger(value);
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

// Most fields are small counters; a new bigint for each would be garbage at once.
const SMALL = Array.from({ length: 1024 }, (_, value) => BigInt(value));

function smallOrWhole(value: number): bigint {
  return SMALL[value] ?? BigInt(Math.trunc(value));
}

function fieldsOf(value: unknown): readonly LogField[] {
  if (!Array.isArray(value)) return [];
  const fields: LogField[] = new Array<LogField>(value.length);
  for (let index = 0; index < value.length; index++) {
    const field: unknown = value[index];
    if (typeof field === "number") fields[index] = smallOrWhole(field);
    else fields[index] = typeof field === "bigint" || typeof field === "string" ? field : "";
  }
  return fields;
}

/** Splits a stream of bytes into lines and parses them; chunks may end anywhere, even within a character. */
export class InternalJsonParser {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that this chunk completes. */
  push(chunk: Uint8Array): InternalLine[] {
    let text = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const lines: InternalLine[] = [];
    let start = 0;
    // Bytes kept from before contain no line end.
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

  /** The last line, if it has no line end. */
  end(): InternalLine[] {
    if (this.#rest.length === 0) return [];
    const line = parseInternalLine(this.#rest.toString("utf8"));
    this.#rest = Buffer.alloc(0);
    return [line];
  }
}
