// Garbage collection for clients: translates their requests to the store's own collector.
import type { GcRequest, GcResult } from "../../protocols/worker/codec.ts";
import type { CollectorReport } from "../embedded/collector/collector.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";

/** Passes a collector's progress, in Nix's words, to the client. */
export function collectorNotices(notice: (message: string) => void): CollectorReport {
  return {
    waiting: () => notice("waiting for the big garbage collector lock..."),
    deleting: (path) => notice(`deleting '${path}'`),
  };
}

/**
 * Performs a client's garbage collection request (Nix: `LocalStore::collectGarbage`). Paths that become alive meanwhile are not deleted.
 * @throws EngineError `STORE_PATH_ALIVE` for a chosen path that is alive; the signal's reason.
 */
export async function collect(
  store: EmbeddedStore,
  request: GcRequest,
  report: CollectorReport,
  signal: AbortSignal | null,
): Promise<GcResult> {
  switch (request.action) {
    case "deleteSpecific":
      return { paths: request.paths, bytesFreed: await store.deletePaths(request.paths) };
    case "returnLive":
      return store.collectGarbage({ type: "tellAlive" }, report, signal);
    case "returnDead":
      return store.collectGarbage({ type: "tellDead" }, report, signal);
    case "deleteDead":
      return store.collectGarbage({ type: "deleteDead", maxFreed: request.maxFreed }, report, signal);
  }
}
