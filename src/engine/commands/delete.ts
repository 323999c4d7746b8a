// `delete`: removes paths nothing needs any more from a store (Nix: `nix-store --delete`).
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import type { StorePath } from "../formats/store-path.ts";
import { type AnyStore, openAnyStore } from "../stores/open/open-any-store.ts";
import { WorkerStore } from "../stores/remote/worker-store.ts";
import type { KeepingStore } from "../stores/store.ts";
import { onlyPaths, Resolver } from "./resolve-paths.ts";

export interface DeleteRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** Store paths, or links to them. */
  readonly paths: readonly string[];
  readonly ignoreLiveness: boolean;
}

export interface Deleted {
  readonly paths: readonly StorePath[];
  readonly bytesFreed: bigint;
  readonly warnings: readonly string[];
}

/** Deletes paths. @throws EngineError `STORE_PATH_ALIVE` in Nix's words, `STORE_NOT_DELETABLE` */
export async function deletePaths(
  request: DeleteRequest,
  surroundings: Surroundings,
  clock: Clock = systemClock,
): Promise<Deleted> {
  const config = loadConfig(request.settingsOverrides);
  const warnings = [...config.warnings];
  const notice = (message: string): void => void warnings.push(message);
  const resolver = new Resolver(config, surroundings, clock, notice);
  const opened = await openAnyStore(config.settings.store, config, surroundings, clock, notice);
  try {
    const paths = await resolver.paths(onlyPaths(request.paths, request.settingsOverrides), null);
    const valid = await opened.store.queryValidPaths(paths);
    const bytesFreed = await remove(opened, paths, request.ignoreLiveness);
    return { paths: paths.filter((path) => valid.has(path)), bytesFreed, warnings };
  } finally {
    await Promise.allSettled([opened.close(), resolver.close()]);
  }
}

async function remove(opened: AnyStore, paths: readonly StorePath[], ignoreLiveness: boolean): Promise<bigint> {
  if (opened.type === "embedded") return opened.store.deletePaths(paths, ignoreLiveness);
  if (ignoreLiveness) {
    // What a daemon says to everyone who asks it for that.
    throw new EngineError("store", "STORE_LIVENESS_IGNORED", "you are not allowed to ignore liveness", {
      hint: "only a private store (--store DIRECTORY) lets itself be broken that way; for Nix's own use nix-store --delete --ignore-liveness",
    });
  }
  return keeperOf(opened).deletePaths(paths);
}

function keeperOf(opened: AnyStore): KeepingStore {
  if (opened.type === "daemon") return opened.store;
  if (opened.type === "machine" && opened.store instanceof WorkerStore) return opened.store;
  throw new EngineError("store", "STORE_NOT_DELETABLE", `'${opened.store.uri}' cannot delete paths`, {
    hint:
      opened.type === "cache"
        ? "a binary cache is cleaned up where it lies: delete the narinfo and the NAR it names"
        : "reach the store by the worker protocol (ssh-ng://)",
  });
}
