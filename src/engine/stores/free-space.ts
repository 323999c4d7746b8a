// How much space a machine has left where it builds: by a system call here, by `df` on another machine.
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { TransportOpener } from "../transports/transport.ts";
import { commandOutput } from "./remote/command-output.ts";

/** POSIX df for the places that Nix fills: its store, and the build directories (Nix 2.8: TMPDIR, 2.30 and later: its state directory). */
export const FREE_SPACE_COMMAND = "sh -c 'df -Pk /nix/store /nix/var/nix/builds /tmp $TMPDIR 2>/dev/null'";

/** Enough for the lines of a few file systems. */
const MAX_OUTPUT = 64 * 1024;

/** The smallest free space in the output of `df -Pk`, in bytes; null when no line can be parsed. */
export function parseFreeSpace(text: string): number | null {
  let least: number | null = null;
  for (const line of text.split("\n")) {
    const free = /^.*\s(\d+)\s+(\d+)\s+(?<free>\d+)\s+\d+%\s+\//.exec(line)?.groups?.free;
    if (free !== undefined) least = Math.min(least ?? Number.POSITIVE_INFINITY, Number(free) * 1024);
  }
  return least;
}

/** Queries a machine; rejects when it does not answer or the answer cannot be parsed. */
export async function freeSpaceThere(command: (line: string) => TransportOpener, signal: AbortSignal): Promise<number> {
  const opener = command(FREE_SPACE_COMMAND);
  try {
    const least = parseFreeSpace(await commandOutput(opener, MAX_OUTPUT, signal));
    if (least === null) throw new Error("df was not understood");
    return least;
  } finally {
    opener.close();
  }
}

/** Free space (bytes) of this machine: the smaller one of a store's directory and the temporary directory. */
export async function freeSpaceHere(storeDirectory: string): Promise<number> {
  const places = await Promise.all([storeDirectory, tmpdir()].map((place) => statfs(place)));
  return Math.min(...places.map(({ bavail, bsize }) => bavail * bsize));
}
