// ATerm tokens as `.drv` files use them: literals, quoted strings with their escapes, lists.
import { EngineError } from "../base/errors.ts";
import { type ByteString, fromBytes } from "./byte-string.ts";

const QUOTE = 0x22;
const NOWHERE = Number.MAX_SAFE_INTEGER;

/** Reads tokens from bytes. Errors are `ATERM_MALFORMED` with the byte offset, what was expected and what was found. */
export class AtermReader {
  readonly #text: ByteString;
  readonly #name: string;
  #at = 0;
  /** Position of the first backslash at or after #at, found lazily. */
  #backslash = -1;

  /** `name` names the source of the bytes in messages. */
  constructor(bytes: Uint8Array, name: string) {
    this.#text = fromBytes(bytes);
    this.#name = name;
  }

  /** The byte offset of the next token. */
  get offset(): number {
    return this.#at;
  }

  /** Consumes the literal if it comes next. */
  accept(literal: string): boolean {
    if (!this.#text.startsWith(literal, this.#at)) return false;
    this.#at += literal.length;
    return true;
  }

  /** Consumes the literal, which must come next. */
  expect(literal: string): void {
    if (!this.accept(literal)) throw this.fail(`'${literal}'`);
  }

  /** A quoted string without its quotes and escapes. */
  string(): ByteString {
    const text = this.#text;
    if (text.charCodeAt(this.#at) !== QUOTE) throw this.fail("a quoted string");
    const start = this.#at + 1;
    let close = text.indexOf('"', start);
    if (this.#backslash < start) this.#backslash = this.#nextBackslash(start);
    if (close >= 0 && close < this.#backslash) {
      this.#at = close + 1;
      return text.slice(start, close) as ByteString;
    }
    let value = "";
    let from = start;
    while (close >= 0 && this.#backslash < close) {
      const second = this.#backslash + 1;
      value += text.slice(from, this.#backslash) + unescaped(text[second]!);
      from = second + 1;
      if (close === second) close = text.indexOf('"', from);
      this.#backslash = this.#nextBackslash(from);
    }
    if (close < 0) throw this.fail("a string that is closed");
    this.#at = close + 1;
    return (value + text.slice(from, close)) as ByteString;
  }

  /** `[`, items by `readItem` with commas between them, `]`. */
  list(readItem: () => void): void {
    this.expect("[");
    if (this.accept("]")) return;
    do readItem();
    while (this.accept(","));
    if (!this.accept("]")) throw this.fail("',' or ']'");
  }

  /** Demands the end of the bytes. */
  end(): void {
    if (this.#at !== this.#text.length) throw this.fail("the end");
  }

  /** An error at the next token, or at `offset`. */
  fail(expected: string, offset = this.#at, cause?: unknown): EngineError {
    const rest = this.#text.slice(offset, offset + 40);
    const found = rest === "" ? "the end" : JSON.stringify(rest);
    const message = `${this.#name}: at byte ${offset}: expected ${expected}, found ${found}`;
    return new EngineError("format", "ATERM_MALFORMED", message, { cause });
  }

  #nextBackslash(from: number): number {
    const found = this.#text.indexOf("\\", from);
    return found < 0 ? NOWHERE : found;
  }
}

/** A quoted string; only quote, backslash, newline, carriage return and tab are escaped, everything else is written as is. */
export function printString(value: ByteString): string {
  return `"${/["\\\n\r\t]/.test(value) ? value.replace(/["\\\n\r\t]/g, escaped) : value}"`;
}

/** A list of strings that need no escapes, such as store paths and output names. */
export function printPlainStrings(values: readonly string[]): string {
  return values.length === 0 ? "[]" : `["${values.join('","')}"]`;
}

function unescaped(character: string): string {
  switch (character) {
    case "n":
      return "\n";
    case "r":
      return "\r";
    case "t":
      return "\t";
    default:
      return character;
  }
}

function escaped(character: string): string {
  switch (character) {
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
    default:
      return `\\${character}`;
  }
}
