// Reads NARs of this machine's own Nix from the disk, as Nix does: through the daemon, the bytes would pass one more pipe.
import { accessSync } from "node:fs";
import type { StorePath } from "../formats/store-path.ts";
import { dumpPath } from "./embedded/files/dump.ts";

/** The NAR of a path on this disk, null if it is not there or not readable: then use the daemon. */
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
