// Small trees as archives and back, for tests.
import { EngineError } from "../../src/engine/base/errors.ts";
import type { ByteString } from "../../src/engine/formats/byte-string.ts";
import type { NarEvent } from "../../src/engine/formats/nar/event.ts";
import { type NarTree, treeEvents } from "../../src/engine/formats/nar/tree.ts";
import { NarWriter } from "../../src/engine/formats/nar/write.ts";

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
