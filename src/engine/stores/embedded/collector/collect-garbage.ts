// Collects garbage: reports or deletes paths that nothing keeps alive, in the database or only on disk (Nix: `nix-store --gc`).
import { closeSync, fstatSync, readdirSync } from "node:fs";
import { isStorePath, STORE_DIR, type StorePath } from "../../../formats/store-path.ts";
import { hasCode } from "../files/file-tree.ts";
import { flock } from "../files/flock.ts";
import { removeUnusedLinks } from "../files/links.ts";
import { deleteLockFile, openLockFile } from "../files/path-locks.ts";
import { realPathOf, type StoreLayout } from "../layout.ts";
import { type Collector, type CollectorReport, type CollectorScope, whileCollecting } from "./collector.ts";

/** The collector's task. */
export type CollectorTask =
  | { readonly type: "tellAlive" }
  | { readonly type: "tellDead" }
  /** Deletes dead paths until more than `maxFreed` bytes are freed; null is without limit. */
  | { readonly type: "deleteDead"; readonly maxFreed: bigint | null };

/** What a collector found or deleted, sorted. */
export interface Collected {
  readonly paths: readonly StorePath[];
  readonly bytesFreed: bigint;
}

/**
 * Performs the task on every path that is valid or exists in the store. Leaves names that are not store paths: a running Nix creates such.
 * @throws EngineError `STORE_FLOCK_FAILED`; the signal's reason; system errors.
 */
export function collectGarbage(
  scope: CollectorScope,
  task: CollectorTask,
  report: CollectorReport,
  signal: AbortSignal | null,
): Promise<Collected> {
  return whileCollecting(scope, report, signal, async (collector) => {
    const paths = everyPath(scope);
    if (task.type === "deleteDead") return deleteDead(scope, collector, paths, task.maxFreed, signal);
    for (const path of paths) {
      signal?.throwIfAborted();
      if (!collector.alive.has(path)) collector.judge(path, null);
    }
    const found = task.type === "tellAlive" ? collector.alive : collector.dead;
    return { paths: [...found].sort(), bytesFreed: 0n };
  });
}

async function deleteDead(
  scope: CollectorScope,
  collector: Collector,
  paths: readonly StorePath[],
  maxFreed: bigint | null,
  signal: AbortSignal | null,
): Promise<Collected> {
  const deleted: StorePath[] = [];
  let bytesFreed = 0n;
  const isEnough = (): boolean => maxFreed !== null && bytesFreed > maxFreed;
  for (const path of maxFreed === 0n ? [] : paths) {
    if (isEnough()) break;
    for (const one of (collector.alive.has(path) ? null : collector.judge(path, null)) ?? []) {
      signal?.throwIfAborted();
      // A valid path may have such a name, too.
      const isLock = one.endsWith(".lock") && !scope.database.isValid(one);
      if (isLock && !(await deleteIdleLock(scope.layout, one))) continue;
      const bytes = await collector.delete(one);
      // Somebody has needed it since, and with it everything it refers to.
      if (bytes === null) break;
      deleted.push(one);
      bytesFreed += bytes;
      if (isEnough()) break;
    }
  }
  bytesFreed += await removeUnusedLinks(scope.layout);
  return { paths: deleted.sort(), bytesFreed };
}

/** Valid paths, and store paths that exist only on disk. */
function everyPath({ layout, database }: CollectorScope): StorePath[] {
  const paths = new Set(database.allValidPaths());
  for (const name of readdirSync(layout.storeDir)) {
    const path = `${STORE_DIR}/${name}`;
    if (isStorePath(path)) paths.add(path);
  }
  return [...paths];
}

/** Deletes a lock file as its holder would, so that a waiting process notices; false when a process holds it. */
async function deleteIdleLock(layout: StoreLayout, path: StorePath): Promise<boolean> {
  const file = realPathOf(layout, path);
  let descriptor: number;
  try {
    descriptor = openLockFile(file);
  } catch (error) {
    // A directory with this name is an ordinary path.
    if (hasCode(error, "EISDIR", "ELOOP", "ENXIO")) return true;
    throw error;
  }
  try {
    if (!(await flock([descriptor], "exclusive", false))) return false;
    if (fstatSync(descriptor).size === 0) deleteLockFile(file, descriptor);
    return true;
  } finally {
    closeSync(descriptor);
  }
}
