// Nix's locks on store paths: `<path>.lock`, flocked while the path is made, and marked before it is deleted (Nix: pathlocks.cc).
import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from "node:fs";
import { hasCode } from "./file-tree.ts";
import { flock } from "./flock.ts";

/** Locks held on some paths. */
export interface PathLocks {
  /**
   * Unlocks. `deleteFiles` also removes the lock files; do that only once the paths are valid, because a process that waits for a deleted
   * lock file must check again.
   */
  release(deleteFiles: boolean): void;
}

/** How to take locks. */
export interface LockWishes {
  /** Called once, before waiting for another process. */
  readonly onWait: () => void;
  readonly signal: AbortSignal | null;
}

/**
 * Locks the real paths (`.lock` is appended to each), in sorted order so that no two processes wait for each other. Waits as long as
 * others hold them.
 * @throws EngineError `STORE_FLOCK_FAILED`; the signal's reason; system errors of the store directory.
 */
export async function lockPaths(realPaths: Iterable<string>, wishes: LockWishes): Promise<PathLocks> {
  const files = [...new Set(realPaths)].sort().map((path) => `${path}.lock`);
  const held = new Map<string, number>();
  let waited = false;
  try {
    for (let missing = files; missing.length > 0; missing = files.filter((file) => !held.has(file))) {
      const opened = missing.map((file) => ({ file, descriptor: openLockFile(file) }));
      // From now on a failure closes them too.
      for (const { file, descriptor } of opened) held.set(file, descriptor);
      const descriptors = opened.map(({ descriptor }) => descriptor);
      if (!(await flock(descriptors, "exclusive", false))) {
        if (!waited) wishes.onWait();
        waited = true;
        // Those that are already ours are granted at once.
        await flock(descriptors, "exclusive", true, wishes.signal);
      }
      for (const { file, descriptor } of opened) {
        // The last holder has deleted a marked file: others lock a new one with the same name.
        if (fstatSync(descriptor).size === 0) continue;
        held.delete(file);
        closeSync(descriptor);
      }
    }
  } catch (error) {
    for (const descriptor of held.values()) closeSync(descriptor);
    throw error;
  }
  return {
    release(deleteFiles) {
      for (const [file, descriptor] of held) {
        if (deleteFiles) deleteLockFile(file, descriptor);
        closeSync(descriptor);
      }
      held.clear();
    },
  };
}

/** Opens a lock file, creating it if there is none. */
export function openLockFile(file: string): number {
  return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
}

/** Deletes a lock file that is locked through `descriptor`, and marks it for waiting processes. */
export function deleteLockFile(file: string, descriptor: number): void {
  try {
    unlinkSync(file);
    writeSync(descriptor, "d");
  } catch (error) {
    // A full disk leaves an unmarked file: waiting processes then only lose a round, since the path is valid.
    if (!hasCode(error, "ENOENT", "ENOSPC", "EDQUOT")) throw error;
  }
}
