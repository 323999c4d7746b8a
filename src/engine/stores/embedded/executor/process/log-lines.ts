// Turns a builder's output into log lines and phases, as Nix does: `\r` returns to the start of the line, `@nix {…}` lines are messages.

/** Longest line in bytes; longer ones are split. */
const MAX_LINE = 64 * 1024;

/** An item of a builder's output. */
export type LogItem =
  | { readonly type: "line"; readonly text: string }
  | { readonly type: "phase"; readonly name: string }
  /** A message for the user that the builder sent through Nix. */
  | { readonly type: "message"; readonly text: string };

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Parses a builder's output in pieces of any size. */
export class LogLines {
  #line = Buffer.alloc(256);
  /** The position of the next byte, and the length of the line: `\r` resets only the position (Nix: `handleChildOutput`). */
  #at = 0;
  #length = 0;

  /** The lines that end in this piece. Bytes that are not UTF-8 become U+FFFD. */
  push(bytes: Uint8Array): LogItem[] {
    const items: LogItem[] = [];
    let start = 0;
    for (let index = 0; index < bytes.length; index++) {
      const byte = bytes[index];
      if (byte !== NEWLINE && byte !== RETURN) continue;
      this.#append(bytes, start, index, items);
      start = index + 1;
      if (byte === RETURN) this.#at = 0;
      else this.#end(items);
    }
    this.#append(bytes, start, bytes.length, items);
    return items;
  }

  /** The last line, if it has no line end. */
  finish(): LogItem[] {
    const items: LogItem[] = [];
    if (this.#length > 0) this.#end(items);
    return items;
  }

  #append(bytes: Uint8Array, from: number, to: number, items: LogItem[]): void {
    while (from < to) {
      const count = Math.min(to - from, MAX_LINE - this.#at);
      this.#reserve(this.#at + count);
      this.#line.set(bytes.subarray(from, from + count), this.#at);
      this.#at += count;
      this.#length = Math.max(this.#length, this.#at);
      from += count;
      if (this.#at === MAX_LINE) this.#end(items);
    }
  }

  #reserve(size: number): void {
    if (size <= this.#line.length) return;
    const larger = Buffer.alloc(Math.min(MAX_LINE, Math.max(size, this.#line.length * 2)));
    larger.set(this.#line.subarray(0, this.#length));
    this.#line = larger;
  }

  #end(items: LogItem[]): void {
    const text = this.#line.toString("utf8", 0, this.#length);
    this.#at = 0;
    this.#length = 0;
    const message = text.startsWith("@nix ") ? parseMessage(text.slice(5)) : undefined;
    if (message === undefined) items.push({ type: "line", text });
    else if (message !== null) items.push(message);
  }
}

/** A `@nix` message: undefined when it is not one, null when it can be ignored. */
function parseMessage(text: string): LogItem | null | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("action" in value)) return null;
  if (value.action === "setPhase" && "phase" in value && typeof value.phase === "string") {
    return { type: "phase", name: value.phase };
  }
  if (value.action === "msg" && "msg" in value && typeof value.msg === "string")
    return { type: "message", text: value.msg };
  return null;
}
