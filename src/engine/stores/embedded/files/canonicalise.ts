// Gives a builder's files the metadata of store objects, and refuses what a store cannot hold (Nix: posix-fs-canonicalise).
import { chmodSync, lchownSync, lstatSync, lutimesSync, renameSync, type Stats } from "node:fs";
import { EngineError } from "../../../base/errors.ts";
import type { ByteString } from "../../../formats/byte-string.ts";
import { pathBytes, pathString, readEntries, shownPath, Turns } from "./file-tree.ts";
import { STORE_MTIME } from "./restore.ts";

/** The required owner of the files in a tree. */
export interface ExpectedOwner {
  readonly uid: number;
  /** Files that belonged to this owner when first met; filled here, shared by the outputs of one build. */
  readonly seen: Set<string>;
}

/**
 * Canonicalises a tree: modes 0444/0555 after the owner's execute bit, mtime 1, owned by this process. With `owner`, files of anyone else
 * are refused, because they may be hard links to files of the system (as in Nix).
 * @throws EngineError `STORE_BAD_FILE_TYPE` for devices, sockets and pipes; `STORE_FOREIGN_FILE`.
 */
export async function canonicalise(path: string, owner: ExpectedOwner | null = null): Promise<void> {
  const turns = new Turns();
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const open: ByteString[] = [pathString(path)];
  const directories: { readonly path: Buffer; readonly stats: Stats }[] = [];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const bytes = pathBytes(next);
    const stats = lstatSync(bytes);
    if (!stats.isFile() && !stats.isDirectory() && !stats.isSymbolicLink()) {
      throw new EngineError("store", "STORE_BAD_FILE_TYPE", `file '${shownPath(next)}' has an unsupported type`);
    }
    if (owner !== null) demandOwner(next, stats, owner);
    if (stats.uid !== uid) lchownSync(bytes, uid, gid);
    if (stats.isDirectory()) {
      // A directory that its owner may not list or enter must be opened first.
      if ((stats.mode & 0o500) !== 0o500) chmodSync(bytes, 0o700);
      for (const entry of readEntries(next)) open.push(`${next}/${entry.name}` as ByteString);
      directories.push({ path: bytes, stats });
    } else {
      finish(bytes, stats);
    }
    if (turns.due()) await turns.pause();
  }
  // Last, because not every process may chown the entries of a directory it cannot write to.
  for (const { path: directory, stats } of directories) {
    finish(directory, stats);
    if (turns.due()) await turns.pause();
  }
}

function demandOwner(path: ByteString, stats: Stats, owner: ExpectedOwner): void {
  const inode = `${stats.dev}:${stats.ino}`;
  if (stats.uid === owner.uid) owner.seen.add(inode);
  else if (stats.isDirectory() || !owner.seen.has(inode)) {
    throw new EngineError("store", "STORE_FOREIGN_FILE", `invalid ownership on file '${shownPath(path)}'`);
  }
}

function finish(path: Buffer, stats: Stats): void {
  if (!stats.isSymbolicLink()) {
    const mode = stats.isDirectory() || (stats.mode & 0o100) !== 0 ? 0o555 : 0o444;
    if ((stats.mode & 0o7777) !== mode) chmodSync(path, mode);
  }
  if (Math.floor(stats.mtimeMs / 1000) !== STORE_MTIME) lutimesSync(path, stats.atimeMs / 1000, STORE_MTIME);
}

/** Renames a store object; a directory must be writable for that unless this process is root. Throws the system's error. */
export function moveObject(from: string, to: string): void {
  const stats = lstatSync(from);
  const locked = process.geteuid?.() !== 0 && stats.isDirectory() && (stats.mode & 0o200) === 0;
  if (locked) chmodSync(from, (stats.mode & 0o7777) | 0o200);
  renameSync(from, to);
  if (locked) chmodSync(to, stats.mode & 0o7777);
}
