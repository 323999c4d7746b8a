// The listing of a NAR: its entries and their offsets, as Nix writes it beside the NARs of a binary cache (`HASH.ls`; nar-accessor.cc, `listNar`).
import { type ByteString, textOf } from "../byte-string.ts";
import type { NarEvent } from "./event.ts";
import { NarParser } from "./parser.ts";

type Listed =
  | { readonly type: "directory"; readonly entries: Record<string, Listed> }
  | { readonly executable?: true; readonly narOffset?: number; readonly size: number; readonly type: "regular" }
  | { readonly target: string; readonly type: "symlink" };

/** Makes the listing of one NAR that is pushed in as chunks. */
export class NarListing {
  readonly #open: Record<string, Listed>[] = [];
  #root: Listed | null = null;
  readonly #parser = new NarParser((event) => this.#take(event));

  /** @throws EngineError `NAR_MALFORMED` */
  push(chunk: Uint8Array): void {
    this.#parser.push(chunk);
  }

  /** The JSON text. @throws EngineError `NAR_TRUNCATED` */
  finish(): string {
    this.#parser.finish();
    return JSON.stringify({ root: this.#root, version: 1 });
  }

  #take(event: NarEvent): void {
    switch (event.type) {
      case "directory": {
        const entries: Record<string, Listed> = Object.create(null);
        this.#add(event.name, { entries, type: "directory" });
        this.#open.push(entries);
        return;
      }
      case "endDirectory":
        this.#open.pop();
        return;
      case "symlink":
        this.#add(event.name, { target: textOf(event.target), type: "symlink" });
        return;
      case "file": {
        const narOffset = this.#parser.position;
        const executable = event.executable ? ({ executable: true } as const) : {};
        this.#add(event.name, { ...executable, narOffset, size: event.size, type: "regular" });
        return;
      }
      case "contents":
      case "endFile":
    }
  }

  #add(name: ByteString, listed: Listed): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) this.#root = listed;
    else parent[textOf(name)] = listed;
  }
}
