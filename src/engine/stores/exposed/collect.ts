// The garbage collector as clients ask for it: what is alive, what is dead, and deleting the dead or chosen paths.
import type { StorePath } from "../../formats/store-path.ts";
import type { GcRequest, GcResult } from "../../protocols/worker/codec.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import { findRoots, findTempRoots } from "../embedded/roots.ts";

/** What keeps what alive beside references. */
export interface Liveness {
  /** A derivation lives while an output of its does. */
  readonly keepDerivations: boolean;
  /** An output lives while a derivation of its does. */
  readonly keepOutputs: boolean;
}

/**
 * Does what a client asks of the collector (Nix: `LocalStore::collectGarbage`). Paths that come alive meanwhile are not deleted.
 * @throws EngineError `STORE_PATH_ALIVE` for a chosen path that is alive.
 */
export async function collect(store: EmbeddedStore, request: GcRequest, liveness: Liveness): Promise<GcResult> {
  switch (request.action) {
    case "deleteSpecific":
      return { paths: request.paths, bytesFreed: await store.deletePaths(request.paths) };
    case "returnLive":
      return { paths: [...(await alivePaths(store, liveness))].sort(), bytesFreed: 0n };
    case "returnDead":
      return { paths: await deadPaths(store, liveness), bytesFreed: 0n };
    case "deleteDead":
      return deleteDead(store, await deadPaths(store, liveness), request.maxFreed);
  }
}

async function deadPaths(store: EmbeddedStore, liveness: Liveness): Promise<StorePath[]> {
  const alive = await alivePaths(store, liveness);
  return (await store.queryAllValidPaths()).filter((path) => !alive.has(path));
}

async function deleteDead(
  store: EmbeddedStore,
  dead: readonly StorePath[],
  maxFreed: bigint | null,
): Promise<GcResult> {
  if (dead.length === 0) return { paths: [], bytesFreed: 0n };
  if (maxFreed === null) return { paths: dead, bytesFreed: await store.deletePaths(dead) };
  const paths: StorePath[] = [];
  let bytesFreed = 0n;
  for (const path of dead) {
    if (bytesFreed >= maxFreed) break;
    if (!(await store.queryValidPaths([path])).has(path)) continue;
    // What refers to it is dead as well and goes first.
    const group = await referrersOf(store, path);
    bytesFreed += await store.deletePaths(group);
    paths.push(...group);
  }
  return { paths, bytesFreed };
}

async function referrersOf(store: EmbeddedStore, path: StorePath): Promise<StorePath[]> {
  const group = new Set([path]);
  // A set may grow while it is iterated, and then goes on with what was added.
  for (const one of group) for (const referrer of await store.queryReferrers(one)) group.add(referrer);
  return [...group];
}

/** The closure of all roots, with derivations and outputs as the settings keep them. */
async function alivePaths(store: EmbeddedStore, liveness: Liveness): Promise<Set<StorePath>> {
  const valid = new Set(await store.queryAllValidPaths());
  const roots = [
    ...findRoots(store.layout, (path) => valid.has(path)).keys(),
    ...(await findTempRoots(store.layout)).keys(),
  ];
  let alive = await store.queryClosure(roots);
  for (let before = -1; alive.size !== before; ) {
    before = alive.size;
    const more = new Set(alive);
    for (const path of alive) {
      if (liveness.keepDerivations) for (const deriver of await store.queryValidDerivers(path)) more.add(deriver);
      if (liveness.keepOutputs && path.endsWith(".drv")) {
        for (const output of (await store.queryDerivationOutputs(path)).values())
          if (output !== null && valid.has(output)) more.add(output);
      }
    }
    alive = await store.queryClosure(more);
  }
  return alive;
}
