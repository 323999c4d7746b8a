// Keeps a failed build's directory (`--keep-failed`) for the user and nobody else.

import { chmodSync, lchownSync, lstatSync, mkdirSync, renameSync } from "node:fs";
import { makeDirectories } from "../../../../base/directories.ts";
import type { ByteString } from "../../../../formats/byte-string.ts";
import { hasCode, pathBytes, pathString, readEntries } from "../../files/file-tree.ts";
import type { StoreLayout } from "../../layout.ts";

/** Moves the build directory beside the store's state, under Nix's name for it. Its files then belong to this process's user. */
export function keepBuildDir(layout: StoreLayout, derivationName: string, buildDir: string): string {
  const parent = `${layout.stateDir}/builds`;
  makeDirectories(parent, 0o700);
  chmodSync(parent, 0o700);
  disarm(pathString(buildDir));
  for (let number = 0; ; number++) {
    const kept = `${parent}/nix-build-${derivationName}.drv-${number}`;
    try {
      // Creating the directory first keeps two processes from choosing the same name; renaming replaces it.
      mkdirSync(kept, 0o700);
    } catch (error) {
      if (hasCode(error, "EEXIST")) continue;
      throw error;
    }
    renameSync(buildDir, kept);
    chmodSync(kept, 0o700);
    return kept;
  }
}

/** Removes set-uid and set-gid bits before any file becomes this user's, and takes files over from the build's user. */
function disarm(path: ByteString): void {
  const bytes = pathBytes(path);
  const stats = lstatSync(bytes);
  const uid = process.geteuid?.() ?? 0;
  // Changing the owner removes the bits from programs, but not for root and not always.
  if (!stats.isSymbolicLink() && (stats.mode & 0o7000) !== 0) chmodSync(bytes, stats.mode & 0o777);
  if (stats.uid !== uid) lchownSync(bytes, uid, process.getegid?.() ?? 0);
  if (!stats.isDirectory()) return;
  if ((stats.mode & 0o700) !== 0o700) chmodSync(bytes, (stats.mode & 0o777) | 0o700);
  for (const { name } of readEntries(path)) disarm(`${path}/${name}` as ByteString);
}
