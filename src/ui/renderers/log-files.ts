// Reads the lines of logs kept on disk, the few that are on the screen at a time, so that a log of any length can be looked through.
import { closeSync, openSync, readSync } from "node:fs";
import type { LogArchive, LogLines } from "../model/screens/select-log.ts";

/** Bytes read at once while looking for line ends, and the most that one question may read: some tenths of a second. */
const CHUNK = 1 << 18;
const MAX_SCAN = 1 << 28;
/** A place is remembered every so many lines or bytes; what lies between two places is read together. */
const PLACE_LINES = 512;
const PLACE_BYTES = 1 << 20;
/** Of one stretch between two places, only so much is read: a line of megabytes is shown by its beginning. */
const MAX_STRETCH = PLACE_BYTES + CHUNK;
/** Stretches and files kept at hand. */
const KEPT_STRETCHES = 4;
const KEPT_FILES = 4;
const LINE_END = 10;

/** Logs on disk by their file names. */
export class LogFiles implements LogArchive {
  readonly #open = new Map<string, LogFile>();

  /** The lines of a file, null when it cannot be read (any more, or here: a replay elsewhere). */
  linesOf(file: string): LogLines | null {
    const known = this.#open.get(file);
    if (known !== undefined) return known;
    let descriptor: number;
    try {
      descriptor = openSync(file, "r");
    } catch {
      return null;
    }
    const opened = new LogFile(descriptor);
    this.#open.set(file, opened);
    for (const [name, oldest] of this.#open) {
      if (this.#open.size <= KEPT_FILES) break;
      oldest.close();
      this.#open.delete(name);
    }
    return opened;
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }
}

/** One file, which may still be growing. */
class LogFile implements LogLines {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(CHUNK);
  /** Number and offset of the lines where stretches begin. */
  readonly #places: { readonly line: number; readonly offset: number }[] = [{ line: 0, offset: 0 }];
  readonly #stretches = new Map<number, readonly string[]>();
  /** Lines and bytes that have been looked through. */
  #lines = 0;
  #bytes = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  line(number: number): string | null {
    if (number >= this.#lines) this.#scanTo(number);
    if (number < 0 || number >= this.#lines) return null;
    const place = this.#placeOf(number);
    return this.#stretch(place)[number - this.#places[place]!.line] ?? "";
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** Looks for line ends until the line is known to be there; a later question goes on where this one stops. */
  #scanTo(number: number): void {
    const enough = this.#bytes + MAX_SCAN;
    while (this.#lines <= number && this.#bytes < enough) {
      const length = this.#read(this.#buffer, this.#bytes);
      if (length === 0) return;
      const chunk = this.#buffer.subarray(0, length);
      for (let end = chunk.indexOf(LINE_END); end !== -1; end = chunk.indexOf(LINE_END, end + 1)) {
        this.#lines++;
        const offset = this.#bytes + end + 1;
        const last = this.#places.at(-1)!;
        if (this.#lines - last.line >= PLACE_LINES || offset - last.offset >= PLACE_BYTES) {
          this.#places.push({ line: this.#lines, offset });
        }
      }
      this.#bytes += length;
    }
  }

  /** Index of the last place at or before the line. */
  #placeOf(number: number): number {
    let low = 0;
    let high = this.#places.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#places[middle]!.line <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #stretch(place: number): readonly string[] {
    const { offset, line } = this.#places[place]!;
    const next = this.#places[place + 1];
    const kept = this.#stretches.get(place);
    // The last stretch may have grown.
    if (kept !== undefined && kept.length >= (next?.line ?? this.#lines) - line) return kept;
    const length = Math.min(MAX_STRETCH, (next?.offset ?? this.#bytes) - offset);
    const bytes = Buffer.allocUnsafe(length);
    const text = bytes.subarray(0, this.#read(bytes, offset)).toString("utf8");
    const lines = text.split("\n");
    // What follows the last line end is nothing, or a line that is still being written.
    if (next === undefined || text.endsWith("\n")) lines.pop();
    this.#stretches.delete(place);
    this.#stretches.set(place, lines);
    for (const oldest of this.#stretches.keys()) {
      if (this.#stretches.size <= KEPT_STRETCHES) break;
      this.#stretches.delete(oldest);
    }
    return lines;
  }

  #read(into: Buffer, offset: number): number {
    let done = 0;
    try {
      while (done < into.length) {
        const length = readSync(this.#descriptor, into, done, into.length - done, offset + done);
        if (length === 0) break;
        done += length;
      }
    } catch {
      // What cannot be read is not shown.
    }
    return done;
  }
}
