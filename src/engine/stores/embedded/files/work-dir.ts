// The private directory where this process prepares files before they are renamed into the store, and the cleaning up after dead processes.
import { closeSync, existsSync, fstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { dropStaleMirrors } from "../collector/mirrored-roots.ts";
import type { StoreLayout } from "../layout.ts";
import { flock } from "./flock.ts";
import { deleteLockFile, openLockFile } from "./path-locks.ts";
import { removeTree } from "./remove.ts";

/** A locked directory on the store's file system, for this process only. */
export class WorkDir {
  readonly path: string;
  readonly #lockFile: string;
  readonly #descriptor: number;
  readonly #removals = new Set<Promise<unknown>>();
  #count = 0;

  private constructor(path: string, lockFile: string, descriptor: number) {
    this.path = path;
    this.#lockFile = lockFile;
    this.#descriptor = descriptor;
  }

  /** Creates one, after cleaning up after processes that have died. Throws `STORE_FLOCK_FAILED` and system errors. */
  static async open(layout: StoreLayout, random: () => number): Promise<WorkDir> {
    await clearUp(layout);
    dropStaleMirrors(layout);
    while (true) {
      // The process id shows others quickly that the owner lives.
      const name = `${process.pid}-${Math.floor(random() * 2 ** 32).toString(36)}`;
      const path = join(layout.workDir, name);
      const lockFile = `${path}.lock`;
      if (existsSync(lockFile)) continue;
      const descriptor = openLockFile(lockFile);
      // Only a process that cleans up can be faster, and has then deleted and marked it.
      if ((await flock([descriptor], "exclusive", false)) && fstatSync(descriptor).size === 0) {
        mkdirSync(path, { mode: 0o700 });
        return new WorkDir(path, lockFile, descriptor);
      }
      closeSync(descriptor);
    }
  }

  /** An unused name in it. */
  fresh(kind: string): string {
    this.#count++;
    return join(this.path, `${kind}-${this.#count}`);
  }

  /** Removes something in the background; {@link WorkDir.close} waits for it. A later cleaning up removes what this cannot. */
  discard(path: string): void {
    const removal = removeTree(path).catch(() => undefined);
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  async close(): Promise<void> {
    await Promise.all(this.#removals);
    await removeTree(this.path);
    deleteLockFile(this.#lockFile, this.#descriptor);
    closeSync(this.#descriptor);
  }
}

async function clearUp(layout: StoreLayout): Promise<void> {
  const names = new Set(readdirSync(layout.workDir).map((entry) => entry.replace(/\.lock$/, "")));
  for (const name of names) {
    const owner = /^(\d{1,10})-/.exec(name)?.[1];
    if (owner !== undefined && isAlive(Number(owner))) continue;
    const path = join(layout.workDir, name);
    const descriptor = openLockFile(`${path}.lock`);
    try {
      // The lock is the proof, not the number: the owner may live where its process id means nothing to us.
      if (!(await flock([descriptor], "exclusive", false)) || fstatSync(descriptor).size !== 0) continue;
      await removeTree(path);
      deleteLockFile(`${path}.lock`, descriptor);
    } finally {
      closeSync(descriptor);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
