// Deletes chosen paths but nothing that is alive (Nix: `nix-store --delete`, gcDeleteSpecific).
import { EngineError } from "../../../base/errors.ts";
import type { StorePath } from "../../../formats/store-path.ts";
import { removeUnusedLinks } from "../files/links.ts";
import { type CollectorReport, type CollectorScope, SILENT_COLLECTOR, whileCollecting } from "./collector.ts";

/**
 * Deletes paths, referrers first; returns the bytes freed. Paths deleted before one turns out to be
 * alive stay deleted, as in Nix.
 * @throws EngineError `STORE_PATH_ALIVE`, `STORE_FLOCK_FAILED`; the signal's reason; system errors.
 */
export function deletePaths(
  scope: CollectorScope,
  paths: readonly StorePath[],
  report: CollectorReport = SILENT_COLLECTOR,
  signal: AbortSignal | null = null,
): Promise<bigint> {
  return whileCollecting(scope, report, signal, async (collector) => {
    const wanted = new Set(paths);
    let freed = 0n;
    for (const path of paths) {
      const group = collector.judge(path, wanted);
      if (group === null) throw alive(path, collector.keepersOf(path));
      for (const one of group) {
        signal?.throwIfAborted();
        const bytes = await collector.delete(one);
        if (bytes === null) throw alive(path, new Set());
        freed += bytes;
      }
    }
    return freed + (await removeUnusedLinks(scope.layout));
  });
}

function alive(path: StorePath, keepers: ReadonlySet<string>): EngineError {
  return new EngineError(
    "store",
    "STORE_PATH_ALIVE",
    `Cannot delete path '${path}' since it is still alive. To find out why, use: nix-store --query --roots`,
    {
      hint:
        keepers.size === 0
          ? "Something that refers to it, or that it belongs to, is a root or was not named for deletion."
          : `It is kept by ${[...keepers].slice(0, 3).join(", ")}.`,
    },
  );
}
