// Parses a NAR that is pushed in as chunks: a synchronous state machine that also finds where the archive ends.
import { EngineError } from "../../base/errors.ts";
import { type ByteString, fromBytes } from "../byte-string.ts";
import { paddingOf } from "../wire/writer.ts";
import { MAX_DEPTH, MAX_NAME_LENGTH, MAX_TARGET_LENGTH, type NarEvent, nameFault, targetFault } from "./event.ts";
import * as tokens from "./tokens.ts";

const NOTHING = new Uint8Array(0);
const NO_NAME = "" as ByteString;

/** What the parser expects next. */
type State =
  | "magic"
  | "node"
  | "kind"
  | "executableOrContents"
  | "contents"
  | "size"
  | "body"
  | "padding"
  | "target"
  | "closeNode"
  | "entryOrClose"
  | "name"
  | "entryNode"
  | "closeEntry"
  | "done";

/**
 * A push parser for NARs. Refuses what Nix never writes: unsorted or repeated names, `.`, `..`, slashes and NULs in names,
 * padding that is not zero, files without contents, unknown tokens, directories nested deeper than {@link MAX_DEPTH}.
 * Errors are EngineErrors `NAR_MALFORMED` and `NAR_TRUNCATED` with the byte position; after one the parser cannot be used.
 */
export class NarParser {
  readonly #emit: ((event: NarEvent) => void) | null;
  #state: State = "magic";
  /** Bytes of a token that began in an earlier chunk. */
  #held: Uint8Array = NOTHING;
  /** Absolute position of the first byte of the current buffer. */
  #base = 0;
  #bytes: Uint8Array = NOTHING;
  #at = 0;
  #left = 0;
  #padding = 0;
  #executable = false;
  #name: ByteString = NO_NAME;
  /** The name of the latest entry of each open directory. */
  readonly #lastNames: ByteString[] = [];

  /** `emit` receives every event; null only checks and finds the end. Contents are views into the pushed chunks. */
  constructor(emit: ((event: NarEvent) => void) | null) {
    this.#emit = emit;
  }

  /** Whether the archive has ended. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** Bytes of the archive consumed so far; at a `file` event the offset of the first byte of its contents. */
  get position(): number {
    return this.#base + this.#at;
  }

  /** Takes the next chunk and returns how many of its bytes belong to the archive: all of them until it ends. */
  push(chunk: Uint8Array): number {
    const held = this.#held.length;
    this.#bytes = held === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#at = 0;
    while (this.#step());
    const used = this.#at;
    this.#base += used;
    if (this.#state === "done") {
      this.#held = NOTHING;
      this.#bytes = NOTHING;
      this.#at = 0;
      return used - held;
    }
    this.#held = used === this.#bytes.length ? NOTHING : Uint8Array.from(this.#bytes.subarray(used));
    this.#bytes = NOTHING;
    this.#at = 0;
    return chunk.length;
  }

  /** Marks the end of the input; throws `NAR_TRUNCATED` unless the archive has ended. */
  finish(): void {
    if (this.#state === "done") return;
    throw new EngineError(
      "format",
      "NAR_TRUNCATED",
      `NAR: at byte ${this.#base + this.#held.length}: expected ${EXPECTED[this.#state]}, found the end`,
    );
  }

  /** One token; false when more bytes are needed or the archive has ended. */
  #step(): boolean {
    switch (this.#state) {
      case "magic":
        return this.#fixed(tokens.MAGIC, "node");
      case "node":
        return this.#fixed(tokens.NODE, "kind");
      case "kind":
        return this.#kind();
      case "executableOrContents":
        if (this.#bytes.length - this.#at < 16) return false;
        // The length field alone tells "executable" (10) from "contents" (8).
        if (this.#bytes[this.#at] !== 10) return this.#to("contents");
        this.#executable = true;
        return this.#fixed(tokens.EXECUTABLE, "contents");
      case "contents":
        return this.#fixed(tokens.CONTENTS, "size");
      case "size":
        return this.#size();
      case "body":
        return this.#body();
      case "padding":
        return this.#bodyPadding();
      case "target":
        return this.#target();
      case "closeNode":
        return this.#fixed(tokens.CLOSE, this.#lastNames.length === 0 ? "done" : "closeEntry");
      case "entryOrClose":
        return this.#entryOrClose();
      case "name":
        return this.#entryName();
      case "entryNode":
        return this.#fixed(tokens.ENTRY_NODE, "node");
      case "closeEntry":
        return this.#fixed(tokens.CLOSE, "entryOrClose");
      case "done":
        return false;
    }
  }

  #to(state: State): true {
    this.#state = state;
    return true;
  }

  /** Consumes exactly these bytes and goes on to `next`. */
  #fixed(expected: Uint8Array, next: State): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    const available = Math.min(expected.length, bytes.length - at);
    for (let index = 0; index < available; index++) {
      if (bytes[at + index] !== expected[index]) throw this.#unexpected(at + index);
    }
    if (available < expected.length) return false;
    this.#at = at + expected.length;
    this.#state = next;
    return true;
  }

  #kind(): boolean {
    // The length tells the kinds apart; any other length fails against "regular".
    const length = this.#bytes[this.#at];
    if (length === undefined) return false;
    if (length === 9) {
      if (!this.#fixed(tokens.DIRECTORY, "entryOrClose")) return false;
      if (this.#lastNames.length >= MAX_DEPTH) {
        throw this.#malformed(this.#at, `at most ${MAX_DEPTH} nested directories`, "another");
      }
      this.#emit?.({ type: "directory", name: this.#name });
      this.#lastNames.push(NO_NAME);
      return true;
    }
    // "symlink" and "regular" have the same length, so the first letter decides.
    if (this.#bytes.length - this.#at < 9) return false;
    if (this.#bytes[this.#at + 8] === 0x73) return this.#fixed(tokens.SYMLINK_TARGET, "target");
    this.#executable = false;
    return this.#fixed(tokens.REGULAR, "executableOrContents");
  }

  #size(): boolean {
    if (this.#bytes.length - this.#at < 8) return false;
    const size = this.#u64();
    if (!Number.isSafeInteger(size)) throw this.#malformed(this.#at, "a file size below 2^53", `${size}`);
    this.#at += 8;
    this.#left = size;
    this.#padding = paddingOf(size);
    this.#emit?.({ type: "file", name: this.#name, executable: this.#executable, size });
    return this.#to("body");
  }

  #body(): boolean {
    const count = Math.min(this.#left, this.#bytes.length - this.#at);
    if (count > 0) {
      this.#emit?.({ type: "contents", bytes: this.#bytes.subarray(this.#at, this.#at + count) });
      this.#at += count;
      this.#left -= count;
    }
    if (this.#left > 0) return false;
    this.#emit?.({ type: "endFile" });
    return this.#to("padding");
  }

  #bodyPadding(): boolean {
    while (this.#padding > 0) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return false;
      if (byte !== 0) throw this.#malformed(this.#at, "a zero byte of padding", `${byte}`);
      this.#at++;
      this.#padding--;
    }
    return this.#to("closeNode");
  }

  #target(): boolean {
    const target = this.#padded(MAX_TARGET_LENGTH, "a symlink target");
    if (target === null) return false;
    const fault = targetFault(target);
    if (fault !== null) throw this.#malformed(this.#at, "a symlink target", fault);
    this.#emit?.({ type: "symlink", name: this.#name, target });
    return this.#to("closeNode");
  }

  #entryOrClose(): boolean {
    const length = this.#bytes[this.#at];
    if (length === undefined) return false;
    // The length field alone tells ")" (1) from "entry" (5).
    if (length !== 1) return this.#fixed(tokens.ENTRY_NAME, "name");
    if (!this.#fixed(tokens.CLOSE, "closeEntry")) return false;
    this.#lastNames.pop();
    if (this.#lastNames.length === 0) this.#state = "done";
    this.#emit?.({ type: "endDirectory" });
    return true;
  }

  #entryName(): boolean {
    const name = this.#padded(MAX_NAME_LENGTH, "an entry name");
    if (name === null) return false;
    const fault = nameFault(name);
    if (fault !== null) throw this.#malformed(this.#at, "an entry name", fault);
    const depth = this.#lastNames.length - 1;
    const last = this.#lastNames[depth]!;
    // Byte strings compare as their bytes do, and the empty name sorts before every other.
    if (name <= last) {
      throw this.#malformed(this.#at, `an entry name after ${JSON.stringify(last)}`, JSON.stringify(name));
    }
    this.#lastNames[depth] = name;
    this.#name = name;
    return this.#to("entryNode");
  }

  /** A padded byte string of at most `max` bytes; null when it is not complete yet. */
  #padded(max: number, what: string): ByteString | null {
    const available = this.#bytes.length - this.#at;
    if (available < 8) return null;
    const length = this.#u64();
    if (length > max) throw this.#malformed(this.#at, `${what} of at most ${max} bytes`, `${length} bytes`);
    const padding = paddingOf(length);
    if (available < 8 + length + padding) return null;
    const start = this.#at + 8;
    const end = start + length;
    for (let index = end; index < end + padding; index++) {
      if (this.#bytes[index] !== 0) throw this.#malformed(index, "a zero byte of padding", `${this.#bytes[index]}`);
    }
    this.#at = end + padding;
    return fromBytes(this.#bytes.subarray(start, end));
  }

  #u64(): number {
    const bytes = this.#bytes;
    const at = this.#at;
    const low = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
    const high = (bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)) >>> 0;
    return high * 0x1_0000_0000 + low;
  }

  #unexpected(at: number): EngineError {
    const found = this.#bytes.subarray(this.#at, this.#at + 32);
    return this.#malformed(at, EXPECTED[this.#state], JSON.stringify(fromBytes(found)));
  }

  #malformed(at: number, expected: string, found: string): EngineError {
    const message = `NAR: at byte ${this.#base + at}: expected ${expected}, found ${found}`;
    return new EngineError("format", "NAR_MALFORMED", message);
  }
}

/** What each state expects, for messages. */
const EXPECTED: Readonly<Record<State, string>> = {
  magic: "'nix-archive-1'",
  node: "the beginning of a node",
  kind: "'regular', 'symlink' or 'directory'",
  executableOrContents: "'executable' or 'contents'",
  contents: "'contents'",
  size: "a file size",
  body: "file contents",
  padding: "padding",
  target: "a symlink target",
  closeNode: "')' at the end of a node",
  entryOrClose: "'entry' or ')'",
  name: "an entry name",
  entryNode: "'node'",
  closeEntry: "')' at the end of an entry",
  done: "nothing more",
};
