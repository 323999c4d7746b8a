// Fetches for a daemon what it cannot fetch itself: paths of S3 caches, which its Nix may not support or has no credentials for.
import { EngineError } from "../base/errors.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { Substituters } from "./binary-cache/substituters.ts";
import { copyPaths } from "./copy.ts";
import type { Substituter } from "./embedded/substitute.ts";
import { referencesFirst } from "./path-infos.ts";
import type { DestinationStore, SubstitutingStore } from "./store.ts";

/**
 * Makes a store fetch from these caches what it cannot get itself. That store checks the signatures of fetched paths.
 * Closing the store closes the caches.
 */
export function withOwnCaches<Store extends DestinationStore>(store: Store, caches: Substituters): Store {
  if (caches.ports.length === 0) return store;
  const ensure = store.ensurePath.bind(store);
  const ensurePath: SubstitutingStore["ensurePath"] = async (path, report, signal, copying) => {
    try {
      await ensure(path, report, signal, copying);
    } catch (error) {
      signal?.throwIfAborted();
      // Only a store that has answered lacks the path; a lost connection is another matter.
      if (error instanceof EngineError && error.family === "transport") throw error;
      const offers = await offersOf(store, caches.ports, path, signal);
      if (offers === null) throw error;
      for (const info of referencesFirst(new Map([...offers].map(([key, { info }]) => [key, info])))) {
        const { from } = offers.get(info.path)!;
        copying?.(info.path, from.uri);
        const checkSignatures = !from.trusted;
        await copyPaths({
          from,
          to: store,
          paths: [info],
          checkSignatures,
          report,
          signal: signal ?? new AbortController().signal,
        });
      }
    }
  };
  store.ensurePath = ensurePath;
  return caches.closeWith(store);
}

interface Offer {
  readonly info: PathInfo;
  readonly from: Substituter;
}

/** Where to get each path of the closure that the store lacks; null when one of them is nowhere. */
async function offersOf(
  store: DestinationStore,
  ports: readonly Substituter[],
  path: StorePath,
  signal?: AbortSignal,
): Promise<Map<StorePath, Offer> | null> {
  const offers = new Map<StorePath, Offer>();
  for (let wanted = new Set([path]); wanted.size > 0; ) {
    for (const valid of await store.queryValidPaths(wanted, signal)) wanted.delete(valid);
    const next = new Set<StorePath>();
    for (const from of ports) {
      for (const [key, info] of await from.queryPathInfos(wanted, signal)) {
        wanted.delete(key);
        offers.set(key, { info, from });
        for (const reference of info.references) next.add(reference);
      }
    }
    if (wanted.size > 0) return null;
    wanted = new Set([...next].filter((reference) => !offers.has(reference)));
  }
  return offers;
}
