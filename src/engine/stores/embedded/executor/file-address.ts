// Which files of this machine `builtin:fetchurl` may read: it runs outside of any sandbox, so only those a sandboxed builder could see.
import { realpathSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../base/errors.ts";
import { parseSandboxPath } from "./sandbox/sandbox-paths.ts";

/** The file to read, or why it may not be read. */
export type FileAnswer =
  | { readonly type: "allowed"; readonly path: string }
  | { readonly type: "refused"; readonly reason: string };

/**
 * Finds the file of a `file://` address. The address uses the paths a builder sees, the targets of `sandbox-paths`; the file must be below
 * one of their sources, even after its symlinks have been followed.
 */
export function fileBehind(address: string, sandboxPaths: readonly string[]): FileAnswer {
  let wanted: string;
  try {
    wanted = fileURLToPath(address);
  } catch (error) {
    return { type: "refused", reason: messageOf(error) };
  }
  for (const { target, source } of sandboxPaths.map(parseSandboxPath)) {
    const rest = below(wanted, target);
    if (rest === null) continue;
    try {
      const path = realpathSync(source + rest);
      if (below(path, realpathSync(source)) === null) continue;
      if (statSync(path).isFile()) return { type: "allowed", path };
      return { type: "refused", reason: "it is no regular file" };
    } catch (error) {
      return { type: "refused", reason: messageOf(error) };
    }
  }
  return {
    type: "refused",
    reason: "files of this machine are fetched only below what 'sandbox-paths' names (expected http:// or https://)",
  };
}

/** The rest of a path that is `outer` or below it, else null. */
function below(path: string, outer: string): string | null {
  const top = outer.replace(/\/+$/, "");
  return path === top || path.startsWith(`${top}/`) ? path.slice(top.length) : null;
}
