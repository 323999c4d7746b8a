// Logs of builds are kept by run in the state directory, and not for ever.
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { OWNER_FILE } from "./log-keeper.ts";
import { isAlive, parseOwner } from "./owner.ts";

/** The logs of a run are kept so long, and of no more than so many runs. */
const KEPT_MS = 30 * 24 * 3600 * 1000;
const KEPT = 200;

/** Removes the folders of runs that ended long ago, and the oldest of too many, but never those of a run that goes on; resolves with how many. Never rejects. `now` is wall time in ms. */
export async function removeOldLogs(directory: string, now: number): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const ages: { readonly path: string; readonly changedAt: number }[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const changedAt = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => null,
    );
    if (changedAt !== null && !(await isInUse(path))) ages.push({ path, changedAt });
  }
  ages.sort((a, b) => b.changedAt - a.changedAt);
  const old = ages.filter(({ changedAt }, index) => index >= KEPT || now - changedAt > KEPT_MS);
  // What cannot be removed is tried again by the next run.
  for (const { path } of old) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  return old.length;
}

/** A run of weeks has more to lose than the two hundred that ended beside it. */
async function isInUse(path: string): Promise<boolean> {
  const owner = parseOwner(await readFile(join(path, OWNER_FILE), "utf8").catch(() => ""));
  return owner !== null && isAlive(owner);
}
