// The last lines of a log: a ring that knows how many lines passed through it, so a follower knows what it missed.

/** Longest line kept; the whole log is on disk. */
const MAX_KEPT_UNITS = 8192;

/** A ring of raw lines. Line numbers count from 0 over the whole log. */
export class LogBuffer {
  private lines: string[] = [];
  private start = 0;
  private count = 0;
  private capacity: number;

  constructor(capacity: number) {
    this.capacity = Math.max(1, capacity);
  }

  /** Lines ever added. */
  get total(): number {
    return this.count;
  }

  /** Number of the first line still here. */
  get first(): number {
    return this.count - this.lines.length;
  }

  push(line: string): void {
    const kept = line.length > MAX_KEPT_UNITS ? detached(line.slice(0, MAX_KEPT_UNITS)) : line;
    if (this.lines.length < this.capacity) this.lines.push(kept);
    else {
      this.lines[this.start] = kept;
      this.start = (this.start + 1) % this.capacity;
    }
    this.count++;
  }

  /** The line of this number, null when it is gone or not there yet. */
  line(number: number): string | null {
    if (number < this.first || number >= this.count) return null;
    return this.lines[(this.start + number - this.first) % this.lines.length] ?? null;
  }

  /** At most the last `limit` lines, oldest first. */
  tail(limit: number): readonly string[] {
    const from = Math.max(this.first, this.count - Math.max(0, limit));
    const lines: string[] = [];
    for (let number = from; number < this.count; number++) lines.push(this.line(number) ?? "");
    return lines;
  }

  /** Keeps only the last lines from here on: for builds that ended. */
  shrink(capacity: number): void {
    const kept = [...this.tail(capacity)];
    this.capacity = Math.max(1, capacity);
    this.lines = kept;
    this.start = 0;
  }
}

/** A copy that does not hold on to the megabytes it was cut from. */
function detached(text: string): string {
  return text.split("").join("");
}
