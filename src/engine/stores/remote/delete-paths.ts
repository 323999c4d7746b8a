// Deletes paths of a daemon's store on a connection without roots, and retries while roots of our closed connections disappear.
import { setTimeout as delay } from "node:timers/promises";
import { EngineError } from "../../base/errors.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { isRemoteError } from "../../protocols/remote-error.ts";
import type { WorkerConnection } from "../../protocols/worker/client.ts";

/** How often to try, and the pause in ms, for a path that only our own roots keep. */
const TRIES = 12;
const AGAIN_MS = 25;

/**
 * Resolves to the bytes freed. Nix lets nobody ignore roots, but those of our own closed connections disappear in a moment: if the roots are
 * only `ours`, wait for that.
 * @throws EngineError `STORE_PATH_ALIVE`
 */
export async function deletePaths(
  fresh: () => Promise<WorkerConnection>,
  paths: readonly StorePath[],
  ours: boolean,
): Promise<bigint> {
  for (let left = ours ? TRIES : 1; ; left--) {
    const connection = await fresh();
    try {
      const { bytesFreed } = await connection.collectGarbage({ action: "deleteSpecific", paths, maxFreed: null });
      return bytesFreed;
    } catch (error) {
      if (!isRemoteError(error) || !/still alive/.test(error.remoteMessage)) throw error;
      if (left <= 1) {
        throw new EngineError("store", "STORE_PATH_ALIVE", error.remoteMessage, {
          cause: error,
          hint: "find out why with: nix-store --query --roots PATH",
        });
      }
    } finally {
      connection.close();
    }
    await delay(AGAIN_MS);
  }
}

/** Whether a path was not deleted because something keeps it alive. */
export function isAlive(error: unknown): boolean {
  return error instanceof EngineError && error.code === "STORE_PATH_ALIVE";
}
