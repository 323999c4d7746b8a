// Paths of this machine that a derivation asks for (`__impureHostDeps`), as far as they are allowed.
import { existsSync } from "node:fs";
import { normalize } from "node:path";
import { BuildFailure } from "../failure.ts";
import type { SandboxMount } from "./sandbox-plan.ts";

/**
 * Read-only mounts for the paths the derivation names (Nix manual, `allowed-impure-host-deps`: there for macOS only, here for every sandbox).
 * A path is allowed when it is one of `allowed` or below one. Paths missing on this machine are left out.
 * @throws BuildFailure `InputRejected`
 */
export function hostMounts(wanted: readonly string[], allowed: readonly string[]): SandboxMount[] {
  const mounts: SandboxMount[] = [];
  for (const text of wanted) {
    const path = normalize(text).replace(/\/$/, "");
    const isAllowed =
      path.startsWith("/") && allowed.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
    if (!isAllowed) {
      throw new BuildFailure(
        "InputRejected",
        `the derivation asks for the host path '${text}': expected one of ${allowed.join(", ")} or something below (allowed-impure-host-deps)`,
      );
    }
    if (existsSync(path)) mounts.push({ target: path, source: path, writable: false });
  }
  return mounts;
}

/** Leaves out mounts that would be inside of others already there. */
export function notCovered(mounts: readonly SandboxMount[], by: readonly SandboxMount[]): SandboxMount[] {
  return mounts.filter(
    ({ target }) => !by.some((outer) => target === outer.target || target.startsWith(`${outer.target}/`)),
  );
}
