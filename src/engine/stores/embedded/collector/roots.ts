// Finds what keeps paths alive: links in gcroots and profiles, indirect roots, other processes' temporary roots, running programs.

import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  unlinkSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { encodeNix32 } from "../../../formats/nix32.ts";
import { STORE_DIR, type StorePath } from "../../../formats/store-path.ts";
import { hasCode } from "../files/file-tree.ts";
import { flock } from "../files/flock.ts";
import { deleteLockFile } from "../files/path-locks.ts";
import type { StoreLayout } from "../layout.ts";
import { dropStaleMirrors, mirrorDirOf, mirrorRoot, replaceLink, storePathIn } from "./mirrored-roots.ts";
import { parseTempRoots } from "./temp-roots.ts";

/** Alive path → what keeps it alive, for messages: links, `{temp:PID}`, `/proc/…`. */
export type Roots = Map<StorePath, Set<string>>;

/**
 * Makes a link in `gcroots/auto` to `link`, an absolute path (Nix: `addIndirectRoot`): its target is alive while both links exist.
 */
export function addIndirectRoot(layout: StoreLayout, link: string, random: () => number): void {
  const path = resolve(link);
  const name = encodeNix32(createHash("sha1").update(path).digest());
  makeDirectories(layout.autoRootsDir);
  replaceLink(join(layout.autoRootsDir, name), path, random);
  mirrorRoot(layout, name, random);
}

/** Roots in `gcroots` and `profiles`, and of running programs. `isValid` decides whether a path counts. */
export function findRoots(layout: StoreLayout, isValid: (path: StorePath) => boolean): Roots {
  const roots: Roots = new Map();
  const found = (target: string, link: string): void => {
    const path = storePathIn(layout, target);
    if (path === null || !isValid(path)) return;
    const links = roots.get(path);
    if (links === undefined) roots.set(path, new Set([link]));
    else links.add(link);
  };
  dropStaleMirrors(layout);
  findLinks(layout, layout.gcRootsDir, found);
  findLinks(layout, layout.profilesDir, found);
  findRunning(layout, found);
  return roots;
}

/** Temporary roots of living processes, including ours; removes the files of dead ones on the way. */
export async function findTempRoots(layout: StoreLayout): Promise<Roots> {
  const roots: Roots = new Map();
  for (const name of readdirSync(layout.tempRootsDir)) {
    if (!/^\d+$/.test(name)) continue;
    const file = join(layout.tempRootsDir, name);
    let descriptor: number;
    try {
      descriptor = openSync(file, "r+");
    } catch (error) {
      if (hasCode(error, "ENOENT")) continue;
      throw error;
    }
    try {
      if (await flock([descriptor], "exclusive", false)) {
        // Already marked means that another file of this name counts.
        if (fstatSync(descriptor).size !== 1) deleteLockFile(file, descriptor);
        continue;
      }
      for (const path of parseTempRoots(readFileSync(descriptor, "latin1"))) {
        const links = roots.get(path) ?? new Set();
        roots.set(path, links.add(`{temp:${name}}`));
      }
    } finally {
      closeSync(descriptor);
    }
  }
  return roots;
}

function findLinks(layout: StoreLayout, path: string, found: (target: string, link: string) => void): void {
  try {
    const stats = lstatSync(path);
    if (stats.isDirectory()) {
      // Everything in it is also found through `auto`.
      if (path === mirrorDirOf(layout)) return;
      for (const name of readdirSync(path)) findLinks(layout, join(path, name), found);
    } else if (stats.isSymbolicLink()) {
      const target = readlinkSync(path);
      if (storePathIn(layout, target) !== null) found(target, path);
      else followIndirect(layout, path, resolve(dirname(path), target), found);
    } else if (stats.isFile()) {
      found(`${STORE_DIR}/${path.slice(path.lastIndexOf("/") + 1)}`, path);
    }
  } catch (error) {
    if (!hasCode(error, "EACCES", "ENOENT", "ENOTDIR")) throw error;
  }
}

function followIndirect(
  layout: StoreLayout,
  path: string,
  target: string,
  found: (target: string, link: string) => void,
): void {
  try {
    if (!lstatSync(target).isSymbolicLink()) return;
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    if (path.startsWith(`${layout.autoRootsDir}/`)) unlinkSync(path);
    return;
  }
  found(readlinkSync(target), target);
}

/** Programs, working directories, open and mapped files and environments of all processes we may inspect. */
function findRunning(layout: StoreLayout, found: (target: string, link: string) => void): void {
  const mention = new RegExp(
    `(?:${quoted(STORE_DIR)}|${quoted(layout.storeDir)})/[0-9a-z]{32}-[0-9a-zA-Z+\\-._?=]+`,
    "g",
  );
  const quietly = (look: () => void): void => {
    try {
      look();
    } catch (error) {
      // Processes start, exit, and belong to others.
      if (!hasCode(error, "ENOENT", "EACCES", "ESRCH", "EPERM", "EINVAL", "ENOTDIR")) throw error;
    }
  };
  quietly(() => {
    for (const pid of readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const dir = `/proc/${pid}`;
      for (const link of [`${dir}/exe`, `${dir}/cwd`]) quietly(() => found(readlinkSync(link), link));
      quietly(() => {
        for (const name of readdirSync(`${dir}/fd`)) {
          quietly(() => found(readlinkSync(`${dir}/fd/${name}`), `${dir}/fd/${name}`));
        }
      });
      for (const file of [`${dir}/maps`, `${dir}/environ`]) {
        quietly(() => {
          for (const match of readFileSync(file, "latin1").matchAll(mention)) found(match[0], file);
        });
      }
    }
  });
}

function quoted(text: string): string {
  return text.replace(/[.^$\\*+?()[\]{}|/]/g, "\\$&");
}
