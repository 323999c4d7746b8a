// Out-links: the `result` symlinks of a build, which are roots of the garbage collector.
import { lstat, readlink, rename, symlink, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { EngineError } from "../base/errors.ts";
import { STORE_DIR, type StorePath } from "../formats/store-path.ts";
import type { KeepingStore } from "./store.ts";

/** How to name the result links. */
export interface OutLinks {
  readonly base: string;
  /** Whose numbering they use: nix-build counts derivations (`result-2`), `nix build` the installables, from 0 (`result-1`). */
  readonly numbering: "nix-build" | "nix build";
}

/** One output to link. */
export interface LinkedOutput {
  /** The target's number, 0 for the first one, whose link has none. */
  readonly number: number;
  readonly output: string;
  readonly path: StorePath;
}

/** The link's name: `result`, `result-2`, followed by `-dev` for outputs other than `out`. */
export function outLinkName(base: string, number: number, output: string): string {
  const numbered = number === 0 ? base : `${base}-${number}`;
  return output === "out" ? numbered : `${numbered}-${output}`;
}

/**
 * Makes the links and registers them as indirect roots.
 * @param physical the path a link points to: not the store path itself for a store with its own root
 * @throws EngineError `OUT_LINK_IN_THE_WAY` when something other than a symlink into the store is in a link's place
 */
export async function makeOutLinks(
  store: KeepingStore,
  base: string,
  outputs: readonly LinkedOutput[],
  physical: (path: StorePath) => string,
): Promise<void> {
  for (const { number, output, path } of outputs) {
    const link = resolve(outLinkName(base, number, output));
    await replaceLink(link, physical(path));
    await store.addIndirectRoot(link);
  }
}

async function replaceLink(link: string, target: string): Promise<void> {
  const found = await lstat(link).catch(() => null);
  if (found !== null) {
    const points = found.isSymbolicLink() ? await readlink(link) : null;
    if (points === null || !points.includes(STORE_DIR)) {
      throw new EngineError(
        "store",
        "OUT_LINK_IN_THE_WAY",
        `cannot make the result link '${link}': expected nothing or an older link into the store, found ${points === null ? "a file" : `a link to '${points}'`}`,
        { hint: "move it away, or choose another name with --out-link, or none with --no-out-link" },
      );
    }
  }
  const temporary = `${dirname(link)}/.tsbuild-top-link-${process.pid}`;
  await unlink(temporary).catch(() => undefined);
  await symlink(target, temporary);
  await rename(temporary, link);
}
