// A whole file tree in memory as one value, for small archives: made from events, turned into events and bytes.
import { EngineError } from "../../errors.ts";
import type { ByteString } from "../byte-string.ts";
import type { NarEvent } from "./event.ts";
import { NarWriter } from "./write.ts";

/** What an archive holds. Entries of directories may come in any order here; writing sorts them. */
export type NarTree =
  | { readonly type: "file"; readonly executable: boolean; readonly contents: Uint8Array }
  | { readonly type: "symlink"; readonly target: ByteString }
  | { readonly type: "directory"; readonly entries: ReadonlyMap<ByteString, NarTree> };

/** The events of a tree in archive order. */
export function* treeEvents(tree: NarTree, name: ByteString = "" as ByteString): Generator<NarEvent, void, undefined> {
  switch (tree.type) {
    case "file":
      yield { type: "file", name, executable: tree.executable, size: tree.contents.length };
      if (tree.contents.length > 0) yield { type: "contents", bytes: tree.contents };
      yield { type: "endFile" };
      return;
    case "symlink":
      yield { type: "symlink", name, target: tree.target };
      return;
    case "directory":
      yield { type: "directory", name };
      for (const entry of [...tree.entries.keys()].sort()) yield* treeEvents(tree.entries.get(entry)!, entry);
      yield { type: "endDirectory" };
  }
}

/** The NAR of a tree. Throws `NAR_BAD_EVENT` for names an archive cannot hold. */
export function encodeTree(tree: NarTree): Uint8Array {
  const writer = new NarWriter();
  for (const event of treeEvents(tree)) writer.push(event);
  return Buffer.concat(writer.finish());
}

/** Gathers the events of one archive into a tree. Throws `NAR_TOO_LARGE` when the files exceed `maxBytes` together. */
export class TreeCollector {
  readonly #maxBytes: number;
  readonly #open: { readonly name: ByteString; readonly entries: Map<ByteString, NarTree> }[] = [];
  #root: NarTree | null = null;
  #file: { name: ByteString; executable: boolean; parts: Uint8Array[] } | null = null;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(event: NarEvent): void {
    switch (event.type) {
      case "directory":
        this.#open.push({ name: event.name, entries: new Map() });
        return;
      case "endDirectory": {
        const { name, entries } = this.#open.pop()!;
        this.#add(name, { type: "directory", entries });
        return;
      }
      case "symlink":
        this.#add(event.name, { type: "symlink", target: event.target });
        return;
      case "file":
        this.#file = { name: event.name, executable: event.executable, parts: [] };
        return;
      case "contents":
        this.#bytes += event.bytes.length;
        if (this.#bytes > this.#maxBytes) {
          throw new EngineError(
            "format",
            "NAR_TOO_LARGE",
            `NAR: expected at most ${this.#maxBytes} bytes of files, found more`,
          );
        }
        this.#file!.parts.push(event.bytes);
        return;
      case "endFile": {
        const { name, executable, parts } = this.#file!;
        this.#add(name, { type: "file", executable, contents: Buffer.concat(parts) });
      }
    }
  }

  /** The tree, once the archive has ended. */
  finish(): NarTree {
    if (this.#root === null) throw new EngineError("format", "NAR_TRUNCATED", "NAR: expected a whole archive");
    return this.#root;
  }

  #add(name: ByteString, node: NarTree): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) this.#root = node;
    else parent.entries.set(name, node);
  }
}
