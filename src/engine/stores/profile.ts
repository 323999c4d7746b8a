// Profiles: a link to one of several numbered links into the store, which allows going back (manual, profiles; Nix, profiles.cc).
import { readdir, readlink, rename, symlink, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../base/errors.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { KeepingStore } from "./store.ts";

/**
 * Makes the next generation of a profile from the one path that was built, and points the profile to it. If the newest generation is already that
 * path, makes none.
 * @param profile absolute
 * @param physical the path a link points to: not the store path itself for a store with its own root
 * @throws EngineError `PROFILE_NOT_ONE_PATH` in Nix's words, `PROFILE_UNWRITABLE`
 */
export async function setProfile(
  store: KeepingStore,
  profile: string,
  outputs: readonly StorePath[],
  physical: (path: StorePath) => string,
): Promise<void> {
  const [path, ...others] = new Set(outputs);
  if (path === undefined || others.length > 0) {
    const found = path === undefined ? "there are none" : `there are ${others.length + 1}`;
    throw new EngineError(
      "store",
      "PROFILE_NOT_ONE_PATH",
      `'--profile' requires that the arguments produce a single store path, but ${found}`,
      { hint: "name one attribute, or one output of it: ATTRIBUTE^out" },
    );
  }
  try {
    const generations = await generationsOf(profile);
    const newest = generations.at(-1);
    const isSame = newest !== undefined && (await readlink(linkOf(profile, newest))) === physical(path);
    const number = isSame ? newest : (newest ?? 0) + 1;
    if (!isSame) {
      await symlink(physical(path), linkOf(profile, number));
      await store.addIndirectRoot(linkOf(profile, number));
    }
    const temporary = `${profile}.tmp-${process.pid}`;
    await unlink(temporary).catch(() => undefined);
    await symlink(basename(linkOf(profile, number)), temporary);
    await rename(temporary, profile);
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw new EngineError("store", "PROFILE_UNWRITABLE", `cannot set the profile '${profile}': ${String(cause)}`, {
      hint: "name a profile in a directory you may write to",
      cause,
    });
  }
}

function linkOf(profile: string, generation: number): string {
  return `${profile}-${generation}-link`;
}

/** The profile's generation numbers, ascending. */
async function generationsOf(profile: string): Promise<number[]> {
  const names = await readdir(dirname(join(profile)));
  const prefix = `${basename(profile)}-`;
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{1,9}-link$/.test(name.slice(prefix.length)))
    .map((name) => Number.parseInt(name.slice(prefix.length), 10))
    .sort((a, b) => a - b);
}
