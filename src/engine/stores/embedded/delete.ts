// Deletes chosen paths and nothing that is alive, with the collector's lock held (Nix: `nix-store --delete`, gcDeleteSpecific).
import { closeSync, rmSync } from "node:fs";
import { EngineError } from "../../errors.ts";
import { hashPartOf, type StorePath } from "../../formats/store-path.ts";
import { CollectorSocket } from "./collector-socket.ts";
import type { StoreDatabase } from "./database.ts";
import type { GcLock } from "./gc-lock.ts";
import { realPathOf, type StoreLayout } from "./layout.ts";
import { removeTree } from "./remove.ts";
import { findRoots, findTempRoots } from "./roots.ts";

/** What deleting needs. */
export interface Deletion {
  readonly layout: StoreLayout;
  readonly database: StoreDatabase;
  readonly gcLock: GcLock;
  /** Nix's `keep-derivations`: a derivation is alive while an output of its is. */
  readonly keepDerivations: boolean;
  /** Nix's `keep-outputs`: an output is alive while a derivation of its is. */
  readonly keepOutputs: boolean;
  /** Whether roots are passed over (`--ignore-liveness`). What valid paths refer to is kept in any case. */
  readonly ignoreLiveness: boolean;
}

/**
 * Deletes paths, in an order in which nothing refers to what is gone; returns the bytes freed. What was deleted before one is found
 * alive stays deleted, as with Nix.
 * @throws EngineError `STORE_PATH_ALIVE`; system errors.
 */
export async function deletePaths(deletion: Deletion, paths: readonly StorePath[]): Promise<bigint> {
  const { layout, database, gcLock } = deletion;
  // SQLite needs room to note what is deleted.
  rmSync(layout.reserved, { force: true });
  const lock = await gcLock.takeExclusive();
  let socket: CollectorSocket | null = null;
  try {
    socket = await CollectorSocket.open(layout.gcSocket);
    const roots = findRoots(layout, (path) => database.isValid(path));
    const tempRoots = await findTempRoots(layout);
    // A path with a root is not deleted, whoever asks.
    if (!deletion.ignoreLiveness) for (const path of tempRoots.keys()) socket.addRoot(hashPartOf(path));
    const wanted = new Set(paths);
    const dead = new Set<StorePath>();
    let freed = 0n;
    const isRoot = (path: StorePath): boolean =>
      !deletion.ignoreLiveness && (roots.has(path) || socket!.hasRoot(hashPartOf(path)));
    for (const path of paths) {
      const order = deletable(deletion, path, wanted, dead, isRoot);
      if (order === null) throw alive(path, roots.get(path) ?? tempRoots.get(path));
      for (const one of order) {
        const gone = await socket.whilePending(hashPartOf(one), async () => {
          await database.write(() => {
            database.statement("delete from ValidPaths where path = ?").run(one);
          });
          freed += await removeTree(realPathOf(layout, one));
        });
        if (!gone) throw alive(path, undefined);
        dead.add(one);
      }
    }
    return freed;
  } finally {
    socket?.close();
    closeSync(lock);
  }
}

/** The path and what would dangle without it, referrers first; null when any of these is alive or not to be deleted. */
function deletable(
  deletion: Deletion,
  start: StorePath,
  wanted: ReadonlySet<StorePath>,
  dead: ReadonlySet<StorePath>,
  isRoot: (path: StorePath) => boolean,
): StorePath[] | null {
  const { database } = deletion;
  const visited = new Set<StorePath>();
  const open = [start];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (visited.has(path) || dead.has(path)) continue;
    visited.add(path);
    if (isRoot(path) || !wanted.has(path)) return null;
    if (!database.isValid(path)) continue;
    open.push(...database.referrersOf(path));
    if (deletion.keepDerivations && path.endsWith(".drv")) {
      for (const output of database.derivationOutputsOf(path).values()) {
        if (database.find(output)?.info.deriver === path) open.push(output);
      }
    }
    if (deletion.keepOutputs) open.push(...database.validDeriversOf(path));
  }
  return referrersFirst(database, visited);
}

function referrersFirst(database: StoreDatabase, paths: ReadonlySet<StorePath>): StorePath[] {
  const order: StorePath[] = [];
  const done = new Set<StorePath>();
  const visit = (path: StorePath): void => {
    if (done.has(path)) return;
    done.add(path);
    for (const referrer of database.referrersOf(path)) if (paths.has(referrer)) visit(referrer);
    order.push(path);
  };
  for (const path of paths) visit(path);
  return order;
}

function alive(path: StorePath, links: ReadonlySet<string> | undefined): EngineError {
  return new EngineError(
    "store",
    "STORE_PATH_ALIVE",
    `Cannot delete path '${path}' since it is still alive. To find out why, use: nix-store --query --roots`,
    {
      hint:
        links === undefined || links.size === 0
          ? "Something that refers to it, or that it belongs to, is a root or was not named for deletion."
          : `It is kept by ${[...links].slice(0, 3).join(", ")}.`,
    },
  );
}
