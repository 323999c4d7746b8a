// Keeps the result of a round where the user can look at it: beside the store path where we may write there, else in a directory of our own.

import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories } from "../../base/directories.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";
import { moveObject } from "../../stores/embedded/files/canonicalise.ts";
import { dumpPath } from "../../stores/embedded/files/dump.ts";
import { removeTree } from "../../stores/embedded/files/remove.ts";
import { restorePath } from "../../stores/embedded/files/restore.ts";

/** Where results are kept. */
export interface KeepPlaces {
  /** The directory with the destination's store objects on this machine's disk; null when they are not on it. */
  readonly storeDir: string | null;
  /** Our own directory for this run, used where the store's cannot be written; made when needed. */
  readonly ownDir: string;
  /** Keeps the garbage collector away from everything with the path's hash part as long as the run goes on. */
  readonly protect: (path: StorePath) => Promise<void>;
}

/** A result on this machine's disk. */
export interface KeptResult {
  readonly path: string;
  /** SHA-256 of its NAR in lower-case hexadecimal. */
  readonly narHash: string;
  /** Bytes. */
  readonly narSize: bigint;
}

/**
 * What a kept result is called: `.check` for the second one, as Nix does, `.check-3` and so on for further ones, `.check-1` for the first where it does
 * not stay valid. `slotIsReused`: Nix will write `.check` again in this run, so the second one goes by its number, too.
 */
export function keptSuffix(round: number, slotIsReused: boolean): string {
  return round === 2 && !slotIsReused ? ".check" : `.check-${round}`;
}

/**
 * Unpacks a result with the metadata of store objects (0444 or 0555, mtime 1, ours) and replaces what was kept under that name before.
 * @param nar the archive, the whole of the stream
 * @throws EngineError `NAR_…`, `STORE_NO_SPACE`, `STORE_WRITE_FAILED`, and what the stream throws
 */
export async function keepResult(
  places: KeepPlaces,
  path: StorePath,
  suffix: string,
  nar: AsyncIterable<Uint8Array>,
): Promise<KeptResult> {
  const directory = await placeFor(places, path);
  const target = join(directory, `${baseNameOf(path)}${suffix}`);
  // Under a name with the same hash part, which the collector spares for the same reason as the final one.
  const partial = `${target}.${randomBytes(6).toString("hex")}`;
  const hash = createHash("sha256");
  let narSize = 0n;
  const hashed = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of nar) {
      hash.update(chunk);
      narSize += BigInt(chunk.length);
      yield chunk;
    }
  };
  try {
    await restorePath(hashed(), partial);
    await removeTree(target);
    moveObject(partial, target);
  } catch (error) {
    await removeTree(partial).catch(() => undefined);
    throw error;
  }
  return { path: target, narHash: hash.digest("hex"), narSize };
}

/** A result that lies on this machine's disk already, under the name it is to have: renamed where it may be, copied where not. */
export async function keepOnDisk(
  places: KeepPlaces,
  path: StorePath,
  suffix: string,
  real: string,
): Promise<KeptResult> {
  await places.protect(path);
  const target = `${real.replace(/\.check$/, "")}${suffix}`;
  if (target !== real) {
    try {
      await removeTree(target);
      moveObject(real, target);
    } catch {
      return keepResult(places, path, suffix, dumpPath(real));
    }
  }
  return { path: target, ...(await narIdentity(dumpPath(target))) };
}

/** Hash and size of an archive. */
export async function narIdentity(
  nar: AsyncIterable<Uint8Array>,
): Promise<{ readonly narHash: string; readonly narSize: bigint }> {
  const hash = createHash("sha256");
  let narSize = 0n;
  for await (const chunk of nar) {
    hash.update(chunk);
    narSize += BigInt(chunk.length);
  }
  return { narHash: hash.digest("hex"), narSize };
}

/** Removes what was kept; failing to is no failure of the run. */
export async function discardKept(kept: string): Promise<void> {
  await removeTree(kept).catch(() => undefined);
}

/** Whether something lies at a place on this machine's disk. */
export async function isOnDisk(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** A read-only store (another mount, another owner) is met before anything is written to it. */
async function placeFor({ storeDir, ownDir, protect }: KeepPlaces, path: StorePath): Promise<string> {
  if (storeDir !== null && (await isWritable(storeDir))) {
    await protect(path);
    return storeDir;
  }
  try {
    makeDirectories(ownDir);
  } catch (cause) {
    throw new EngineError(
      "store",
      "ROUNDS_DIRECTORY_UNWRITABLE",
      `cannot keep results in '${ownDir}': ${messageOf(cause)}`,
      {
        hint: "choose a directory you may write to with --option journal-dir DIR",
        cause,
      },
    );
  }
  return ownDir;
}

async function isWritable(directory: string): Promise<boolean> {
  return access(directory, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
