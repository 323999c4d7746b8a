// A serve connection's log: the raw text of standard error, in lines, for the build in progress.
import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";

/** Longest line that is kept whole, in bytes; longer ones are cut into several. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Receives lines without line ends. */
export type LineListener = (lines: readonly string[]) => void;

/** Splits the text into lines for the current listener; lines without a listener are dropped. */
export class StderrLines {
  readonly #clock: Clock;
  #rest: Buffer = Buffer.alloc(0);
  #arrivals = 0;
  #ended = false;
  #listener: LineListener | null = null;

  constructor(stderr: AsyncIterable<Uint8Array>, clock: Clock) {
    this.#clock = clock;
    void this.#read(stderr);
  }

  /** From now on lines go to `listener`. */
  listen(listener: LineListener | null): void {
    this.#listener = listener;
    this.#rest = Buffer.alloc(0);
  }

  /**
   * Waits for lines in transit: until nothing has come for `quietMs`, but at most four times as long. Standard error and the answers are
   * different streams, and no mark ends a log. Then passes on the last line, even without a line end.
   */
  async drain(quietMs: number): Promise<void> {
    for (let turn = 0; turn < 4 && !this.#ended; turn++) {
      const before = this.#arrivals;
      await new Promise<void>((resolve) => this.#clock.after(quietMs, resolve));
      if (this.#arrivals === before) break;
    }
    if (this.#rest.length > 0) this.#listener?.([this.#rest.toString("utf8")]);
    this.#rest = Buffer.alloc(0);
  }

  async #read(stderr: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of stderr) this.#accept(chunk);
    } catch (error) {
      this.#listener?.([`reading the log failed: ${messageOf(error)}`]);
    }
    this.#ended = true;
  }

  #accept(chunk: Uint8Array): void {
    this.#arrivals++;
    const listener = this.#listener;
    if (listener === null) return;
    const text = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const lines: string[] = [];
    let start = 0;
    for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10, start)) {
      lines.push(text.toString("utf8", start, end > start && text[end - 1] === 13 ? end - 1 : end));
      start = end + 1;
    }
    for (; text.length - start > MAX_LINE_BYTES; start += MAX_LINE_BYTES) {
      lines.push(text.toString("utf8", start, start + MAX_LINE_BYTES));
    }
    this.#rest = text.subarray(start);
    if (lines.length > 0) listener(lines);
  }
}
