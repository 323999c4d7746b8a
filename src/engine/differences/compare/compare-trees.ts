// Walks two NARs side by side and tells where the trees differ, with a few hundred bytes of evidence; memory does not grow with their size.
import { type ByteString, textOf } from "../../formats/byte-string.ts";
import type { NarEvent } from "../../formats/nar/event.ts";
import { parseNar } from "../../formats/nar/read.ts";
import { ContentComparison, type ContentEvidence } from "./compare-contents.ts";

export type NodeKind = "file" | "directory" | "symlink";

/** One difference between two trees. Paths are relative to the store path, empty for the store path itself; sizes are bytes. */
export type TreeDifference =
  | {
      readonly type: "onlyIn";
      readonly path: string;
      readonly side: "first" | "other";
      readonly kind: NodeKind;
      readonly size: bigint;
    }
  | { readonly type: "kind"; readonly path: string; readonly first: NodeKind; readonly other: NodeKind }
  | { readonly type: "target"; readonly path: string; readonly first: string; readonly other: string }
  /** Whether the file may be executed: `first` says so of the first result. */
  | { readonly type: "mode"; readonly path: string; readonly firstExecutable: boolean }
  | { readonly type: "contents"; readonly path: string; readonly evidence: ContentEvidence };

/** What a comparison found: the first `kept` differences in archive order, and how many there are. */
export interface TreeComparison {
  readonly differences: readonly TreeDifference[];
  readonly total: number;
}

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Compares two archives, each the whole of its stream. Both are read to the end.
 * @param keep how many differences are kept with their evidence
 * @throws EngineError `NAR_MALFORMED`, `NAR_TRUNCATED`, `NAR_TRAILING`, and what the streams throw
 */
export async function compareTrees(first: Source, other: Source, keep: number): Promise<TreeComparison> {
  const cursors: readonly [Cursor, Cursor] = [new Cursor(first), new Cursor(other)];
  try {
    const walk = new Walk(cursors[0], cursors[1], keep);
    await walk.node("");
    // What follows the root is a fault of the archive, which its parser finds.
    for (const cursor of cursors) await cursor.end();
    return { differences: walk.differences, total: walk.total };
  } finally {
    await Promise.allSettled(cursors.map((cursor) => cursor.close()));
  }
}

class Walk {
  readonly differences: TreeDifference[] = [];
  total = 0;
  readonly #first: Cursor;
  readonly #other: Cursor;
  readonly #keep: number;

  constructor(first: Cursor, other: Cursor, keep: number) {
    this.#first = first;
    this.#other = other;
    this.#keep = keep;
  }

  async node(path: string): Promise<void> {
    const one = this.#first.ready ? this.#first.peek() : await this.#first.fill();
    const two = this.#other.ready ? this.#other.peek() : await this.#other.fill();
    if (one.type === "file" && two.type === "file") {
      this.#first.take();
      this.#other.take();
      if (one.executable !== two.executable) this.#found({ type: "mode", path, firstExecutable: one.executable });
      await this.#contents(path, one.size, two.size);
    } else if (one.type === "symlink" && two.type === "symlink") {
      this.#first.take();
      this.#other.take();
      if (one.target !== two.target)
        this.#found({ type: "target", path, first: textOf(one.target), other: textOf(two.target) });
    } else if (one.type === "directory" && two.type === "directory") {
      this.#first.take();
      this.#other.take();
      await this.#entries(path);
    } else {
      this.#found({ type: "kind", path, first: kindOf(one), other: kindOf(two) });
      await skip(this.#first);
      await skip(this.#other);
    }
  }

  async #entries(path: string): Promise<void> {
    for (;;) {
      const one = nameOf(this.#first.ready ? this.#first.peek() : await this.#first.fill());
      const two = nameOf(this.#other.ready ? this.#other.peek() : await this.#other.fill());
      if (one === null && two === null) {
        this.#first.take();
        this.#other.take();
        return;
      }
      const name = two === null || (one !== null && one <= two) ? one! : two;
      const inner = path === "" ? textOf(name) : `${path}/${textOf(name)}`;
      if (one === two) await this.node(inner);
      else if (name === one) this.#found({ type: "onlyIn", path: inner, side: "first", ...(await skip(this.#first)) });
      else this.#found({ type: "onlyIn", path: inner, side: "other", ...(await skip(this.#other)) });
    }
  }

  async #contents(path: string, firstSize: number, otherSize: number): Promise<void> {
    const comparison = new ContentComparison(firstSize, otherSize, this.differences.length < this.#keep);
    const first = new ContentReader(this.#first);
    const other = new ContentReader(this.#other);
    for (;;) {
      if (first.piece.length === 0) await first.next();
      if (other.piece.length === 0) await other.next();
      const length = Math.min(first.piece.length, other.piece.length);
      if (length === 0) break;
      comparison.both(first.take(length), other.take(length));
    }
    while (first.piece.length > 0) {
      comparison.rest("first", first.take(first.piece.length));
      await first.next();
    }
    while (other.piece.length > 0) {
      comparison.rest("other", other.take(other.piece.length));
      await other.next();
    }
    const evidence = comparison.finish();
    if (evidence !== null) this.#found({ type: "contents", path, evidence });
  }

  #found(difference: TreeDifference): void {
    this.total++;
    if (this.differences.length < this.#keep) this.differences.push(difference);
  }
}

/** The pieces of one file's contents, up to its end. */
class ContentReader {
  /** What has been read and not taken yet; empty at the end. */
  piece: Uint8Array = new Uint8Array(0);
  readonly #cursor: Cursor;
  #ended = false;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  async next(): Promise<void> {
    while (!this.#ended && this.piece.length === 0) {
      const event = this.#cursor.ready ? this.#cursor.peek() : await this.#cursor.fill();
      this.#cursor.take();
      if (event.type === "contents") this.piece = event.bytes;
      else this.#ended = true;
    }
  }

  take(length: number): Uint8Array {
    const taken = this.piece.subarray(0, length);
    this.piece = this.piece.subarray(length);
    return taken;
  }
}

/** Passes over one node with all below it; tells its kind and the bytes of its files. */
async function skip(cursor: Cursor): Promise<{ readonly kind: NodeKind; readonly size: bigint }> {
  const kind = kindOf(cursor.ready ? cursor.peek() : await cursor.fill());
  let depth = 0;
  let size = 0n;
  do {
    const event = cursor.ready ? cursor.peek() : await cursor.fill();
    cursor.take();
    if (event.type === "file") size += BigInt(event.size);
    if (event.type === "file" || event.type === "directory") depth++;
    else if (event.type === "endFile" || event.type === "endDirectory") depth--;
  } while (depth > 0);
  return { kind, size };
}

/** The events of one archive, one at a time. The parser has checked that they make a tree. */
class Cursor {
  readonly #batches: AsyncGenerator<readonly NarEvent[], void, undefined>;
  #batch: readonly NarEvent[] = [];
  #at = 0;

  constructor(source: Source) {
    this.#batches = parseNar(source);
  }

  /** Whether the next event is at hand. */
  get ready(): boolean {
    return this.#at < this.#batch.length;
  }

  peek(): NarEvent {
    return this.#batch[this.#at]!;
  }

  take(): void {
    this.#at++;
  }

  /** Waits for the next event and tells it. The archive has not ended: the parser throws when it is cut off. */
  async fill(): Promise<NarEvent> {
    while (!this.ready) {
      const { value, done } = await this.#batches.next();
      if (done === true) throw new Error("the walk went beyond the end of an archive");
      this.#batch = value;
      this.#at = 0;
    }
    return this.peek();
  }

  /** Reads to the end of the stream. */
  async end(): Promise<void> {
    while ((await this.#batches.next()).done !== true);
  }

  async close(): Promise<void> {
    await this.#batches.return();
  }
}

function kindOf(event: NarEvent): NodeKind {
  return event.type === "directory" || event.type === "symlink" ? event.type : "file";
}

/** The name of an entry, null at the end of its directory. */
function nameOf(event: NarEvent): ByteString | null {
  return event.type === "directory" || event.type === "file" || event.type === "symlink" ? event.name : null;
}
