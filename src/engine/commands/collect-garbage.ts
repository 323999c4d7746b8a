// `gc`: tells what keeps paths of a store alive and what nothing does, or deletes the latter (Nix: `nix-store --gc`).
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import type { GcRequest, GcResult } from "../protocols/worker/codec.ts";
import { collect, collectorNotices } from "../stores/exposed/collect.ts";
import { type AnyStore, openAnyStore } from "../stores/open/open-any-store.ts";
import { WorkerStore } from "../stores/remote/worker-store.ts";

/** What is wanted; `maxFreed` is in bytes, null without limit. */
export type GarbageTask =
  | { readonly type: "delete"; readonly maxFreed: bigint | null }
  | { readonly type: "printRoots" | "printLive" | "printDead" };

export interface GarbageRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly task: GarbageTask;
}

/** What came of it: paths one a line, or how many were deleted. */
export type GarbageAnswer =
  | { readonly type: "deleted"; readonly count: number; readonly bytesFreed: bigint }
  /** Sorted. */
  | { readonly type: "paths"; readonly paths: readonly string[] }
  /** Sorted by link. */
  | { readonly type: "roots"; readonly roots: readonly { readonly link: string; readonly path: string }[] };

/**
 * Does the task. `notice` hears what the collector says while it works.
 * @throws EngineError `STORE_NO_COLLECTOR`, of family `config`, `transport`, `protocol` or `store`; the signal's reason
 */
export async function collectGarbage(
  request: GarbageRequest,
  surroundings: Surroundings,
  report: { readonly notice: (message: string) => void; readonly warned: (message: string) => void },
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<GarbageAnswer> {
  const config = loadConfig(request.settingsOverrides);
  for (const warning of config.warnings) report.warned(warning);
  const opened = await openAnyStore(config.settings.store, config, surroundings, clock, report.warned);
  try {
    const collector = collectorOf(opened);
    const { task } = request;
    switch (task.type) {
      case "printRoots":
        return { type: "roots", roots: (await collector.roots()).sort(byLink) };
      case "printLive":
      case "printDead": {
        const action = task.type === "printLive" ? "returnLive" : "returnDead";
        const { paths } = await collector.run({ action, paths: [], maxFreed: null }, report.notice, signal);
        return { type: "paths", paths: [...paths].sort() };
      }
      case "delete": {
        const wanted: GcRequest = { action: "deleteDead", paths: [], maxFreed: task.maxFreed };
        const { paths, bytesFreed } = await collector.run(wanted, report.notice, signal);
        return { type: "deleted", count: paths.length, bytesFreed };
      }
    }
  } finally {
    await opened.close();
  }
}

interface Root {
  readonly link: string;
  readonly path: string;
}

interface StoreCollector {
  readonly roots: () => Promise<Root[]>;
  readonly run: (request: GcRequest, notice: (message: string) => void, signal: AbortSignal) => Promise<GcResult>;
}

function collectorOf(opened: AnyStore): StoreCollector {
  if (opened.type === "embedded") {
    const { store } = opened;
    return {
      roots: async () =>
        [...(await store.findRoots())].flatMap(([path, links]) => [...links].map((link) => ({ link, path }))),
      run: (request, notice, signal) => collect(store, request, collectorNotices(notice), signal),
    };
  }
  const { store } = opened;
  if (store instanceof WorkerStore) {
    return {
      roots: async () => [...(await store.findRoots())].map(([link, path]) => ({ link, path })),
      run: (request, notice, signal) => store.collectGarbage(request, notice, signal),
    };
  }
  throw new EngineError("store", "STORE_NO_COLLECTOR", `'${store.uri}' has no garbage collector`, {
    hint:
      opened.type === "cache"
        ? "a binary cache is cleaned up where it lies: delete the narinfo and the NAR it names"
        : "reach the store by the worker protocol (ssh-ng://)",
  });
}

function byLink(one: Root, other: Root): number {
  return one.link < other.link ? -1 : one.link > other.link ? 1 : one.path < other.path ? -1 : 1;
}
