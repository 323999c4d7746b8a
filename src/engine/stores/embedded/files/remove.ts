// Removes trees with any modes and names, and counts the space that frees.
import { chmodSync, lstatSync, rmdirSync, unlinkSync } from "node:fs";
import type { ByteString } from "../../../formats/byte-string.ts";
import { hasCode, pathBytes, pathString, readEntries, Turns } from "./file-tree.ts";

/**
 * Removes a file or tree, if it exists. Resolves to the bytes freed (blocks of files without another link).
 * @throws the system's error.
 */
export async function removeTree(path: string): Promise<bigint> {
  const turns = new Turns();
  const root = pathString(path);
  let freed = 0;
  const open: { readonly path: ByteString; readonly emptied: boolean }[] = [{ path: root, emptied: false }];
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    const bytes = pathBytes(step.path);
    try {
      if (step.emptied) {
        rmdirSync(bytes);
        continue;
      }
      const stats = lstatSync(bytes);
      if (stats.nlink === 1 || stats.isDirectory()) freed += stats.blocks * 512;
      if (!stats.isDirectory()) {
        unlinkSync(bytes);
      } else {
        if ((stats.mode & 0o700) !== 0o700) chmodSync(bytes, 0o700);
        open.push({ path: step.path, emptied: true });
        for (const entry of readEntries(step.path)) {
          open.push({ path: `${step.path}/${entry.name}` as ByteString, emptied: false });
        }
      }
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
    if (turns.due()) await turns.pause();
  }
  return BigInt(freed);
}
