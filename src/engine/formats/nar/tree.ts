// A whole file tree in memory as one value, for small archives, and the events that write it.
import type { ByteString } from "../byte-string.ts";
import type { NarEvent } from "./event.ts";

/** The contents of an archive. Directory entries may come in any order here; writing sorts them. */
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
