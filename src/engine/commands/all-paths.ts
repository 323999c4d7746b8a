// All valid paths of a store, where it can say so.
import { EngineError } from "../base/errors.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { AnyStore } from "../stores/open/open-any-store.ts";
import { WorkerStore } from "../stores/remote/worker-store.ts";

/** Sorted. @throws EngineError `STORE_NOT_LISTABLE`, `CACHE_NOT_LISTABLE`, or what the store throws */
export async function allPathsOf(opened: AnyStore): Promise<StorePath[]> {
  const { store } = opened;
  if (opened.type === "embedded" || opened.type === "cache") return opened.store.queryAllValidPaths();
  if (store instanceof WorkerStore) return (await store.queryAllValidPaths()).sort();
  throw new EngineError("store", "STORE_NOT_LISTABLE", `'${store.uri}' cannot list its paths`, {
    hint: "name the paths, or reach the store by the worker protocol (ssh-ng://)",
  });
}
