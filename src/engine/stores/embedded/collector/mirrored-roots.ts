// Roots that Nix recognises: a result link of a private store leads to the store's real place (`DIR/nix/store/…`) so that it can be opened,
// but Nix only counts links to `/nix/store/…`. So each such link gets a second one in `gcroots/tsbuild-top`, to the path Nix expects.

import { readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { isStorePath, STORE_DIR, type StorePath } from "../../../formats/store-path.ts";
import { hasCode } from "../files/file-tree.ts";
import type { StoreLayout } from "../layout.ts";

/** The store path that `target` is or lies in, null when it is elsewhere. `target` is logical (`/nix/store/…`) or a real path. */
export function storePathIn(layout: StoreLayout, target: string): StorePath | null {
  for (const dir of [STORE_DIR, layout.storeDir]) {
    if (!target.startsWith(`${dir}/`)) continue;
    const path = `${STORE_DIR}/${target.slice(dir.length + 1).split("/")[0]}`;
    if (isStorePath(path)) return path;
  }
  return null;
}

/** The directory of the second links; its contents repeat those of `gcroots/auto`. */
export function mirrorDirOf(layout: StoreLayout): string {
  return join(layout.gcRootsDir, "tsbuild-top");
}

/** Replaces a link atomically. `random` keeps two concurrent callers apart. */
export function replaceLink(link: string, target: string, random: () => number): void {
  const temporary = `${link}.tmp-${process.pid}-${Math.floor(random() * 2 ** 31)}`;
  symlinkSync(target, temporary);
  renameSync(temporary, link);
}

/** Creates or updates the second link of `gcroots/auto/NAME`, if it needs one. Throws system errors. */
export function mirrorRoot(layout: StoreLayout, name: string, random: () => number): void {
  const path = realTarget(layout, name);
  if (path === null) return;
  makeDirectories(mirrorDirOf(layout));
  const link = join(mirrorDirOf(layout), name);
  if (targetOf(link) !== path) replaceLink(link, path, random);
}

/** Removes second links whose first link is gone or leads elsewhere: the user has deleted the result. Throws system errors. */
export function dropStaleMirrors(layout: StoreLayout): void {
  for (const name of entriesOf(mirrorDirOf(layout))) {
    const link = join(mirrorDirOf(layout), name);
    if (name.includes(".tmp-") || targetOf(link) === realTarget(layout, name)) continue;
    try {
      unlinkSync(link);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }
}

/** The store path that `gcroots/auto/NAME` leads to through a link to its real place, else null. */
function realTarget(layout: StoreLayout, name: string): StorePath | null {
  const link = targetOf(join(layout.autoRootsDir, name));
  const target = link === null ? null : targetOf(resolve(layout.autoRootsDir, link));
  if (target === null || target.startsWith(`${STORE_DIR}/`)) return null;
  return storePathIn(layout, target);
}

function targetOf(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EINVAL", "EACCES")) return null;
    throw error;
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
