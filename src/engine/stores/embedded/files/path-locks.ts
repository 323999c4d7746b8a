// Nix's locks on store paths: `<path>.lock`, flocked while the path is made, and marked before it is deleted (Nix: pathlocks.cc).
import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from "node:fs";
import { hasCode } from "./file-tree.ts";
import { flock } from "./flock.ts";

/** Locks held on some paths. */
export interface PathLocks {
  /**
   * Unlocks. `deleteFiles` also removes the lock files; do that only once the paths are valid, because whoever waits for a deleted
   * lock file must look again.
   */
  release(deleteFiles: boolean): void;
}

/** How to take locks. */
export interface LockWishes {
  /** Called once before waiting for another process. */
  readonly onWait: () => void;
  readonly signal: AbortSignal | null;
}

/**
 * Locks the real paths (each gets `.lock` appended), in sorted order so that no two processes wait for each other. Waits as long as
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
      // From here on a failure closes them too.
      for (const { file, descriptor } of opened) held.set(file, descriptor);
      const descriptors = opened.map(({ descriptor }) => descriptor);
      if (!(await flock(descriptors, "exclusive", false))) {
        if (!waited) wishes.onWait();
        waited = true;
        // Those of them that are ours already are granted at once.
        await flock(descriptors, "exclusive", true, wishes.signal);
      }
      for (const { file, descriptor } of opened) {
        // A marked file has been deleted by its last holder: others lock a new one of the same name.
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

/** Opens a lock file, making it where there is none. */
export function openLockFile(file: string): number {
  return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
}

/** Deletes a lock file that is locked through `descriptor`, and marks it for those who wait for it. */
export function deleteLockFile(file: string, descriptor: number): void {
  try {
    unlinkSync(file);
    writeSync(descriptor, "d");
  } catch (error) {
    // A full disk leaves an unmarked file: whoever waits for it then only loses a round, since the path is valid.
    if (!hasCode(error, "ENOENT", "ENOSPC", "EDQUOT")) throw error;
  }
}
