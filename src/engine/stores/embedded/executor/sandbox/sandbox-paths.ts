// Reads the `sandbox-paths` setting into mounts.
import { existsSync } from "node:fs";
import { EngineError } from "../../../../base/errors.ts";
import { STORE_DIR, type StorePath } from "../../../../formats/store-path.ts";
import { storePathIn } from "../../collector/mirrored-roots.ts";
import { realPathOf, type StoreLayout } from "../../layout.ts";
import type { SandboxInput, SandboxMount } from "./sandbox-plan.ts";

/** An entry of the setting. */
export interface SandboxPath {
  readonly target: string;
  readonly source: string;
  /** Whether it may be missing on the host. */
  readonly optional: boolean;
}

/** Parses `target=source` or `path`, followed by `?` if it is optional (Nix manual, `sandbox-paths`). Throws `EXECUTOR_BAD_SANDBOX_PATH`. */
export function parseSandboxPath(text: string): SandboxPath {
  const optional = text.endsWith("?");
  const [target, source = target] = (optional ? text.slice(0, -1) : text).split(/=(.*)/s, 2) as [string, string?];
  if (!target.startsWith("/") || !source.startsWith("/")) {
    throw new EngineError(
      "config",
      "EXECUTOR_BAD_SANDBOX_PATH",
      `sandbox-paths: expected '/target', '/target=/source', or either with '?', found '${text.slice(0, 300)}'`,
    );
  }
  return { target, source, optional };
}

/** Whether the setting defines `/bin/sh`; if not, there is one all the same (Nix: only while the setting is not set). */
export function namesShell(texts: readonly string[]): boolean {
  return texts.some((text) => ["/", "/bin", "/bin/sh"].includes(parseSandboxPath(text).target));
}

/**
 * The mounts of the setting, and the store paths they need: a source in the store comes with its closure, from this store.
 * @throws EngineError `EXECUTOR_BAD_SANDBOX_PATH`, also for a missing source that is not optional.
 */
export function resolveSandboxPaths(
  layout: StoreLayout,
  texts: readonly string[],
  closureOf: (paths: Iterable<StorePath>) => ReadonlySet<StorePath>,
): { readonly mounts: SandboxMount[]; readonly inputs: SandboxInput[] } {
  const mounts: SandboxMount[] = [];
  const roots: StorePath[] = [];
  for (const { target, source, optional } of texts.map(parseSandboxPath)) {
    const path = storePathIn(layout, source);
    if (path !== null) roots.push(path);
    const real =
      source.startsWith(`${STORE_DIR}/`) && path !== null ? layout.storeDir + source.slice(STORE_DIR.length) : source;
    if (!existsSync(real)) {
      if (optional) continue;
      throw new EngineError("config", "EXECUTOR_BAD_SANDBOX_PATH", `sandbox-paths: '${source}' does not exist`, {
        hint: "Take it out of sandbox-paths, or put '?' behind it.",
      });
    }
    // As in Nix: a cache directory is writable, a store path is not.
    mounts.push({ target, source: real, writable: path === null });
  }
  const inputs = [...closureOf(roots)].map((path) => ({ path, real: realPathOf(layout, path) }));
  return { mounts: mounts.filter(({ target }) => !inputs.some(({ path }) => path === target)), inputs };
}
