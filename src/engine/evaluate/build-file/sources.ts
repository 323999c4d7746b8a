// Hashes files as Nix hashes sources (the NAR's SHA-256) and keeps their NARs in a spool directory until they are added to the store.
import { createHash, type Hash } from "node:crypto";
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { EngineError, messageOf } from "../../base/errors.ts";
import { type ByteString, byteStringOf, fromBytes } from "../../formats/byte-string.ts";
import { contentAddressedPath } from "../../formats/content-address.ts";
import type { NarEvent } from "../../formats/nar/event.ts";
import { type NarTree, treeEvents } from "../../formats/nar/tree.ts";
import { NarWriter } from "../../formats/nar/write.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { madeSources } from "./made.ts";

/** Decides whether a file below a source belongs to it; called with the absolute path and the type. */
export type SourceFilter = (path: string, type: "regular" | "directory" | "symlink") => boolean;

/** Bytes of a file per read. */
const CHUNK = 1 << 20;

let spoolDirectory: string | null = null;

/** Sets where NARs are kept. Call it once, before the build file is loaded. */
export function setSpoolDirectory(path: string): void {
  spoolDirectory = path;
}

const knownFiles = new Map<string, StorePath>();

/**
 * Adds a file or directory; an unfiltered file is read only once.
 * @throws EngineError `BUILD_FILE_BAD_SOURCE`
 */
export function addSource(path: string, name: string | null, filter: SourceFilter | null): StorePath {
  const file = resolve(path);
  const asName = name ?? basename(file);
  const key = `${asName}\0${file}`;
  const known = filter === null ? knownFiles.get(key) : undefined;
  if (known !== undefined) return known;
  try {
    const made = spool(asName, fileEvents(file, "" as ByteString, filter));
    if (filter === null) knownFiles.set(key, made);
    return made;
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError("config", "BUILD_FILE_BAD_SOURCE", `source '${path}': ${messageOf(error)}`, { cause: error });
  }
}

/** Adds a tree in memory. */
export function addTree(name: string, tree: NarTree): StorePath {
  return spool(name, treeEvents(tree));
}

/** A `bin` directory with programs of this machine and links between them. */
export function hostTree(programs: ReadonlyMap<string, string>, links: ReadonlyMap<string, string>): NarTree {
  const bin = new Map<ByteString, NarTree>();
  for (const [name, target] of links) bin.set(byteStringOf(name), { type: "symlink", target: byteStringOf(target) });
  for (const [name, program] of programs) {
    try {
      bin.set(byteStringOf(name), { type: "file", executable: true, contents: readFileSync(program) });
    } catch (error) {
      throw new EngineError(
        "config",
        "BUILD_FILE_BAD_TOOL",
        `tool '${name}': expected a program at '${program}': ${messageOf(error)}`,
        {
          hint: "install it on this machine, or name another program",
          cause: error,
        },
      );
    }
  }
  return { type: "directory", entries: new Map([[byteStringOf("bin"), { type: "directory", entries: bin }]]) };
}

/** Writes the NAR of the events to the spool, hashes it on the way, and records the source. */
function spool(name: string, events: Iterable<NarEvent>): StorePath {
  if (spoolDirectory === null) {
    throw new EngineError(
      "usage",
      "BUILD_FILE_NOT_RUNNING",
      "sources have a meaning only in a build file run by tsbuild-top",
    );
  }
  const draft = join(spoolDirectory, "draft.nar");
  const descriptor = openSync(draft, "w");
  const hash: Hash = createHash("sha256");
  let narSize = 0;
  const put = (chunks: readonly Uint8Array[]): void => {
    for (const chunk of chunks) {
      hash.update(chunk);
      narSize += chunk.length;
      for (let at = 0; at < chunk.length; ) at += writeSync(descriptor, chunk, at);
    }
  };
  try {
    const writer = new NarWriter();
    for (const event of events) {
      writer.push(event);
      put(writer.take());
    }
    put(writer.finish());
  } finally {
    closeSync(descriptor);
  }
  const digest = new Uint8Array(hash.digest());
  const path = contentAddressedPath(name, { method: "nar", hash: { algorithm: "sha256", digest } });
  const narHash = Buffer.from(digest).toString("hex");
  const spoolFile = join(spoolDirectory, `${narHash}.nar`);
  renameSync(draft, spoolFile);
  madeSources.set(path, { path, narHash, narSize, spoolFile });
  return path;
}

function* fileEvents(
  path: string,
  name: ByteString,
  filter: SourceFilter | null,
): Generator<NarEvent, void, undefined> {
  const info = lstatSync(path);
  if (info.isSymbolicLink()) {
    yield { type: "symlink", name, target: fromBytes(readlinkSync(path, { encoding: "buffer" })) };
  } else if (info.isDirectory()) {
    yield { type: "directory", name };
    const entries = readdirSync(path, { withFileTypes: true });
    const sorted = entries
      .map((entry) => ({ entry, key: byteStringOf(entry.name) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { entry, key } of sorted) {
      const type = entry.isSymbolicLink() ? "symlink" : entry.isDirectory() ? "directory" : "regular";
      const below = join(path, entry.name);
      if (filter === null || filter(below, type)) yield* fileEvents(below, key, filter);
    }
    yield { type: "endDirectory" };
  } else if (info.isFile()) {
    yield { type: "file", name, executable: (info.mode & 0o100) !== 0, size: info.size };
    yield* contents(path, info.size);
    yield { type: "endFile" };
  } else {
    throw new EngineError(
      "config",
      "BUILD_FILE_BAD_SOURCE",
      `source: expected files, directories and symlinks, found something else at '${path}'`,
      {
        hint: "leave it out with a filter",
      },
    );
  }
}

function* contents(path: string, size: number): Generator<NarEvent, void, undefined> {
  const descriptor = openSync(path, "r");
  try {
    for (let left = size; left > 0; ) {
      const bytes = Buffer.allocUnsafe(Math.min(CHUNK, left));
      const count = readSync(descriptor, bytes);
      if (count === 0)
        throw new EngineError("config", "BUILD_FILE_BAD_SOURCE", `source '${path}' became shorter while it was read`);
      left -= count;
      yield { type: "contents", bytes: bytes.subarray(0, count) };
    }
  } finally {
    closeSync(descriptor);
  }
}
