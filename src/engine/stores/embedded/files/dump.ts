// Writes a file tree on disk as a NAR: large reads, ahead of the consumer, entries sorted by their raw bytes.
import { closeSync, fstatSync, lstatSync, openSync, read, readlinkSync, readSync, type Stats } from "node:fs";
import { EngineError } from "../../../base/errors.ts";
import type { ByteString } from "../../../formats/byte-string.ts";
import { createHasher } from "../../../formats/hash.ts";
import { NarWriter } from "../../../formats/nar/write.ts";
import { pathBytes, pathString, readEntries, shownPath, type TreeEntry, Turns } from "./file-tree.ts";

/** Files up to this size (bytes) are read in one blocking call, larger ones piecewise in the background. */
const SMALL_FILE = 256 * 1024;
/** Size (bytes) of the pieces for reading large files. */
const PIECE = 1024 * 1024;

const ROOT_NAME = "" as ByteString;

/**
 * The NAR of a file, symlink or directory on disk. Chunks are not reused.
 * @throws EngineError `STORE_BAD_FILE_TYPE` for devices, sockets and pipes; `STORE_FILE_CHANGED` when a file's size changes
 * during the dump; system errors unchanged.
 */
export async function* dumpPath(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new NarWriter();
  const turns = new Turns();
  const root = pathString(path);
  const open: { path: ByteString; entries: TreeEntry[]; next: number }[] = [];

  const enter = (full: ByteString, name: ByteString): void => {
    writer.push({ type: "directory", name });
    const entries = readEntries(full);
    entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    open.push({ path: full, entries, next: 0 });
  };

  // Passed on as soon as made, so that memory use stays within one chunk and one small file.
  const stats = lstatSync(path);
  const type = rootType(stats);
  if (type === "directory") enter(root, ROOT_NAME);
  else if (type !== "file") dumpOther(writer, root, ROOT_NAME, type);
  else if (!dumpSmallFile(writer, root, ROOT_NAME)) yield* dumpFile(writer, root, ROOT_NAME);

  while (true) {
    const top = open.at(-1);
    if (top === undefined) break;
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      writer.push({ type: "endDirectory" });
      open.pop();
      continue;
    }
    const full = `${top.path}/${entry.name}` as ByteString;
    if (entry.type === "directory") enter(full, entry.name);
    else if (entry.type !== "file") dumpOther(writer, full, entry.name, entry.type);
    else if (!dumpSmallFile(writer, full, entry.name)) yield* dumpFile(writer, full, entry.name);
    const chunks = writer.take();
    if (chunks.length > 0) yield* chunks;
    if (turns.due()) await turns.pause();
  }
  yield* writer.finish();
}

/** SHA-256 and size (bytes) of the NAR of a file tree on disk; `observe` sees every chunk. Throws like {@link dumpPath}. */
export async function hashPath(
  path: string,
  observe: (chunk: Uint8Array) => void = () => undefined,
): Promise<{ readonly narHash: Uint8Array; readonly narSize: bigint }> {
  const hasher = createHasher("sha256");
  let size = 0;
  for await (const chunk of dumpPath(path)) {
    hasher.update(chunk);
    size += chunk.length;
    observe(chunk);
  }
  return { narHash: new Uint8Array(hasher.digest()), narSize: BigInt(size) };
}

function rootType(stats: Stats): TreeEntry["type"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return "symlink";
  return "other";
}

function dumpOther(writer: NarWriter, full: ByteString, name: ByteString, type: TreeEntry["type"]): void {
  if (type !== "symlink") {
    throw new EngineError("store", "STORE_BAD_FILE_TYPE", `file '${shownPath(full)}' has an unsupported type`, {
      hint: "A store path holds regular files, directories and symlinks only.",
    });
  }
  const target = readlinkSync(pathBytes(full), { encoding: "buffer" }).toString("latin1") as ByteString;
  writer.push({ type: "symlink", name, target });
}

/** Dumps a file if it is small, else returns false without doing anything. */
function dumpSmallFile(writer: NarWriter, full: ByteString, name: ByteString): boolean {
  const file = openSync(pathBytes(full), "r");
  try {
    const stats = fstatSync(file);
    if (stats.size > SMALL_FILE) return false;
    writer.push(fileEvent(name, stats));
    if (stats.size > 0) {
      const bytes = Buffer.allocUnsafe(stats.size);
      let done = 0;
      while (done < stats.size) {
        const count = readSync(file, bytes, done, stats.size - done, null);
        if (count === 0) throw changed(full);
        done += count;
      }
      writer.push({ type: "contents", bytes });
    }
    writer.push({ type: "endFile" });
    return true;
  } finally {
    closeSync(file);
  }
}

async function* dumpFile(
  writer: NarWriter,
  full: ByteString,
  name: ByteString,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = openSync(pathBytes(full), "r");
  let ahead: Promise<Buffer> | null = null;
  try {
    const stats = fstatSync(file);
    writer.push(fileEvent(name, stats));
    let left = stats.size;
    if (left > 0) ahead = readPiece(file, full, Math.min(PIECE, left));
    while (ahead !== null) {
      const bytes = await ahead;
      left -= bytes.length;
      ahead = left > 0 ? readPiece(file, full, Math.min(PIECE, left)) : null;
      // The next turn handles a failure; until then it must not count as unhandled.
      ahead?.catch(() => undefined);
      writer.push({ type: "contents", bytes });
      yield* writer.take();
    }
    writer.push({ type: "endFile" });
  } finally {
    // A read in progress still uses the descriptor, even after the consumer has broken off.
    await ahead?.catch(() => undefined);
    closeSync(file);
  }
}

function readPiece(file: number, full: ByteString, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    read(file, Buffer.allocUnsafeSlow(size), 0, size, null, (error, count, bytes) => {
      if (error !== null) reject(error);
      else if (count === 0) reject(changed(full));
      else resolve(bytes.subarray(0, count));
    });
  });
}

function fileEvent(name: ByteString, stats: Stats): Parameters<NarWriter["push"]>[0] {
  // Nix looks only at the owner's bit.
  return { type: "file", name, executable: (stats.mode & 0o100) !== 0, size: stats.size };
}

function changed(full: ByteString): EngineError {
  return new EngineError("store", "STORE_FILE_CHANGED", `file '${shownPath(full)}' became shorter while it was read`);
}
