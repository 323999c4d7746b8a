// Files of processes that may be dead: each is named by its process, written to by nobody else, and taken over by renaming once that is gone.
//
// Nothing else is locked or cleaned up: a process that dies leaves its file as it is, and of those that rename it to a name of their own only one can.
import { readdirSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isAlive, type Owner, ownerOf, printOwner } from "./owner.ts";

/** A file of the folder, and whose it is. */
export interface ProcessFile {
  readonly name: string;
  readonly owner: Owner;
}

let named = 0;

/** The files of one kind in a folder: `<kind>-<boot>-<pid>-<start of the process>-<n>.jsonl`. */
export class ProcessFiles {
  readonly #directory: string;
  readonly #kind: string;
  readonly #name: RegExp;

  /** @param kind lower-case letters */
  constructor(directory: string, kind: string) {
    this.#directory = directory;
    this.#kind = kind;
    // Queues were named without the boot once.
    this.#name = new RegExp(`^${kind}-(?:([0-9a-f]{0,8})-)?(\\d{1,10})-(\\d{0,20})-\\d{1,10}\\.jsonl$`);
  }

  /** A place for a new file of a process, which no other file has or will have. */
  fresh(pid: number): string {
    return join(this.#directory, `${this.#kind}-${printOwner(ownerOf(pid))}-${++named}.jsonl`);
  }

  /** All of them, by name; none where the folder cannot be read. */
  all(): ProcessFile[] {
    let names: string[];
    try {
      names = readdirSync(this.#directory).sort();
    } catch {
      return [];
    }
    return names.flatMap((name) => {
      const match = this.#name.exec(name);
      if (match === null) return [];
      const [, boot = ownerOf(process.pid).boot, pid = "", start = ""] = match;
      return [{ name, owner: { boot, pid: Number(pid), start } }];
    });
  }

  /** Names of those whose processes are gone. */
  dead(): string[] {
    return this.all().flatMap(({ name, owner }) => (isAlive(owner) ? [] : [name]));
  }

  /** Makes a dead process's file one of ours, and returns its new place. Throws when another process was quicker. */
  takeOver(name: string, pid: number): string {
    const mine = this.fresh(pid);
    renameSync(join(this.#directory, name), mine);
    return mine;
  }
}

/** Writes everything or throws: a disk that fills up takes a part first, and says so when it is given the rest. */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}
