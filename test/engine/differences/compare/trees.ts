// Small trees as NARs, for tests that compare them.
import { byteStringOf } from "../../../../src/engine/formats/byte-string.ts";
import type { NarTree } from "../../../../src/engine/formats/nar/tree.ts";
import { encodeTree } from "../../../support/nar-tree.ts";

/** A file. */
export function file(contents: string | Uint8Array, executable = false): NarTree {
  return { type: "file", executable, contents: typeof contents === "string" ? Buffer.from(contents) : contents };
}

export function link(target: string): NarTree {
  return { type: "symlink", target: byteStringOf(target) };
}

export function directory(entries: Readonly<Record<string, NarTree>>): NarTree {
  return {
    type: "directory",
    entries: new Map(Object.entries(entries).map(([name, node]) => [byteStringOf(name), node])),
  };
}

/** The NAR in chunks of the given size. */
export function* nar(tree: NarTree, chunkSize = 1 << 20): Generator<Uint8Array, void, undefined> {
  const bytes = encodeTree(tree);
  for (let at = 0; at < bytes.length; at += chunkSize) yield bytes.subarray(at, at + chunkSize);
}
