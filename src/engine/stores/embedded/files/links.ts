// `ROOT/nix/store/.links`, where Nix keeps one hard link to each shared file: removes those that nothing else links to any more.
import { lstatSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { StoreLayout } from "../layout.ts";
import { hasCode, Turns } from "./file-tree.ts";

/** Removes links that no path of the store uses any more, and returns the bytes freed (Nix: `removeUnusedLinks`). Throws system errors. */
export async function removeUnusedLinks(layout: StoreLayout): Promise<bigint> {
  const directory = join(layout.storeDir, ".links");
  const turns = new Turns();
  let freed = 0;
  for (const name of namesIn(directory)) {
    if (turns.due()) await turns.pause();
    const file = join(directory, name);
    try {
      const stats = lstatSync(file);
      if (stats.nlink !== 1) continue;
      unlinkSync(file);
      freed += stats.blocks * 512;
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }
  return BigInt(freed);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
