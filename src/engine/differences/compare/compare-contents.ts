// Compares the contents of two files piece by piece and keeps what shows how they differ.

/** Bytes kept in front of the first difference and behind it: two blocks of a tar archive in front. */
const BEFORE = 1024;
const AFTER = 1024;
/** Files up to this size (bytes) are kept whole, to see whether they hold the same in another order. */
const WHOLE = 128 * 1024;
const HEAD = 16;
/** Further differences that are kept, how far they lie apart at least, and the bytes kept around each. */
const LATER = 16;
const APART = 32;
const AROUND = 256;

/** How the contents of two files differ. Offsets and sizes are bytes. */
export interface ContentEvidence {
  readonly firstSize: number;
  readonly otherSize: number;
  /** Where the first difference is: the size of the shorter file when it is the beginning of the longer one. */
  readonly offset: number;
  /** How many bytes differ when both are of one size, null when they are not. */
  readonly differing: number | null;
  readonly first: FileEvidence;
  readonly other: FileEvidence;
  /** The offset at which both windows begin. */
  readonly windowStart: number;
  /** Some of the differences behind the first one; none when the files are of two sizes, where everything has moved. */
  readonly later: readonly LaterDifference[];
}

/** A difference behind the first one, with what surrounds it. */
export interface LaterDifference {
  readonly offset: number;
  readonly first: Uint8Array;
  readonly other: Uint8Array;
  readonly windowStart: number;
}

/** What is kept of one file. */
export interface FileEvidence {
  /** The first bytes of the file. */
  readonly head: Uint8Array;
  /** What surrounds the first difference. */
  readonly window: Uint8Array;
  /** The whole file, null when it is large. */
  readonly whole: Uint8Array | null;
}

interface Side {
  readonly parts: Uint8Array[];
  readonly window: Uint8Array[];
  windowLength: number;
}

/** Takes in two files side by side. Pieces are kept by reference until {@link ContentComparison.finish}. */
export class ContentComparison {
  readonly #firstSize: number;
  readonly #otherSize: number;
  readonly #keepsWhole: boolean;
  readonly #keepsLater: boolean;
  readonly #sides: Readonly<Record<"first" | "other", Side>> = { first: newSide(), other: newSide() };
  /** The last bytes of the common beginning. */
  #common: Uint8Array[] = [];
  #commonLength = 0;
  #head: Buffer = Buffer.alloc(0);
  #read = 0;
  #offset: number | null = null;
  #differing = 0;
  readonly #later: LaterDifference[] = [];
  #laterFrom = 0;

  /** @param keeps false when only whether they differ is of interest */
  constructor(firstSize: number, otherSize: number, keeps: boolean) {
    this.#firstSize = firstSize;
    this.#otherSize = otherSize;
    this.#keepsLater = keeps;
    this.#keepsWhole = keeps && firstSize <= WHOLE && otherSize <= WHOLE;
  }

  /** The next bytes of both, equally many. */
  both(first: Uint8Array, other: Uint8Array): void {
    this.#part("first", first);
    this.#part("other", other);
    if (this.#offset !== null) {
      this.#behind(first, other, this.#read);
    } else if (Buffer.compare(first, other) === 0) {
      this.#equal(first);
    } else {
      let at = 0;
      while (first[at] === other[at]) at++;
      this.#equal(first.subarray(0, at));
      this.#offset = this.#read + at;
      this.#laterFrom = this.#offset + APART;
      this.#behind(first.subarray(at), other.subarray(at), this.#offset);
    }
    this.#read += first.length;
  }

  /** What only one of them has. */
  rest(which: "first" | "other", bytes: Uint8Array): void {
    this.#offset ??= this.#read;
    this.#part(which, bytes);
    addToWindow(this.#sides[which], bytes);
  }

  /** The difference, null when there is none. */
  finish(): ContentEvidence | null {
    if (this.#offset === null) return null;
    const common = Buffer.concat(this.#common);
    const before = common.subarray(Math.max(0, common.length - BEFORE));
    const evidence = ({ parts, window }: Side): FileEvidence => {
      const around = Buffer.concat([before, ...window]);
      const whole = this.#keepsWhole ? Buffer.concat(parts) : null;
      const own = whole ?? Buffer.concat([this.#head, ...(this.#head.length < HEAD ? window : [])]);
      return { head: own.subarray(0, HEAD), window: around, whole };
    };
    return {
      firstSize: this.#firstSize,
      otherSize: this.#otherSize,
      offset: this.#offset,
      differing: this.#firstSize === this.#otherSize ? this.#differing : null,
      first: evidence(this.#sides.first),
      other: evidence(this.#sides.other),
      windowStart: this.#offset - before.length,
      later: this.#later,
    };
  }

  #part(which: "first" | "other", bytes: Uint8Array): void {
    if (this.#keepsWhole) this.#sides[which].parts.push(bytes);
  }

  /** Notes a common piece. Large files come in large pieces, of which only the end is kept. */
  #equal(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#head.length < HEAD) this.#head = Buffer.concat([this.#head, bytes.subarray(0, HEAD - this.#head.length)]);
    if (bytes.length >= BEFORE) {
      this.#common = [bytes.subarray(bytes.length - BEFORE)];
      this.#commonLength = BEFORE;
      return;
    }
    this.#common.push(bytes);
    this.#commonLength += bytes.length;
    if (this.#commonLength < 64 * BEFORE) return;
    const kept = Buffer.concat(this.#common);
    this.#common = [kept.subarray(kept.length - BEFORE)];
    this.#commonLength = BEFORE;
  }

  /** Takes in what lies behind the first difference; `start` is its offset. */
  #behind(first: Uint8Array, other: Uint8Array, start: number): void {
    addToWindow(this.#sides.first, first);
    addToWindow(this.#sides.other, other);
    if (this.#firstSize !== this.#otherSize || Buffer.compare(first, other) === 0) return;
    let differing = 0;
    for (let at = 0; at < first.length; at++) {
      if (first[at] === other[at]) continue;
      differing++;
      if (start + at >= this.#laterFrom && this.#keepsLater && this.#later.length < LATER)
        this.#keepLater(first, other, start, at);
    }
    this.#differing += differing;
  }

  #keepLater(first: Uint8Array, other: Uint8Array, start: number, at: number): void {
    const from = Math.max(0, at - AROUND);
    const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes.subarray(from, at + AROUND));
    this.#later.push({ offset: start + at, first: copy(first), other: copy(other), windowStart: start + from });
    this.#laterFrom = start + at + APART;
  }
}

function newSide(): Side {
  return { parts: [], window: [], windowLength: 0 };
}

function addToWindow(side: Side, bytes: Uint8Array): void {
  const room = AFTER - side.windowLength;
  if (room <= 0) return;
  // A copy, so that a few bytes do not keep a whole chunk alive.
  side.window.push(Uint8Array.from(bytes.subarray(0, room)));
  side.windowLength += Math.min(room, bytes.length);
}
