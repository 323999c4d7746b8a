// Reads NARs of this machine's own Nix from the disk, as Nix does: the daemon would only copy the bytes through a pipe once more.
import { accessSync } from "node:fs";
import type { StorePath } from "../formats/store-path.ts";
import { dumpPath } from "./embedded/files/dump.ts";

/** The NAR of a path where it lies on this disk, null where it does not or may not be read: then the daemon is asked. */
export function readFromDisk(path: StorePath, signal?: AbortSignal): AsyncIterable<Uint8Array> | null {
  try {
    accessSync(path);
  } catch {
    return null;
  }
  return stoppable(dumpPath(path), signal);
}

async function* stoppable(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    yield chunk;
  }
}
