// Moves a build's outputs into the store in one transaction, or compares them with the valid ones (`--check`).
import type { PathInfo } from "../../../../formats/path-info.ts";
import type { StorePath } from "../../../../formats/store-path.ts";
import type { BuildRequest } from "../../../store.ts";
import type { StoreCore } from "../../core.ts";
import { registerPaths, updatePath } from "../../database/register.ts";
import { moveObject } from "../../files/canonicalise.ts";
import { lockPaths } from "../../files/path-locks.ts";
import { removeTree } from "../../files/remove.ts";
import { writeFailure } from "../../files/restore.ts";
import { moveAway } from "../../import.ts";
import { realPathOf } from "../../layout.ts";
import { BuildFailure } from "../failure.ts";
import type { MadeOutput } from "./outputs.ts";

const NO_OUTPUTS: ReadonlyMap<string, StorePath> = new Map();

/**
 * Renames the outputs into place, signs and registers them; returns the then valid paths. The caller holds the locks of `locked`; paths that
 * follow from the contents are locked here, and left alone if already valid.
 * @throws EngineError of the store; then nothing is registered.
 */
export async function installOutputs(
  core: StoreCore,
  made: readonly MadeOutput[],
  locked: ReadonlySet<StorePath>,
): Promise<Map<string, PathInfo>> {
  const { layout, database } = core;
  const work = await core.workDir();
  const found = made.map(({ info }) => info.path).filter((path) => !locked.has(path));
  await core.tempRoots.add(found);
  const locks = await lockPaths(
    found.map((path) => realPathOf(layout, path)),
    { onWait: () => undefined, signal: null },
  );
  let done = false;
  try {
    const installed = new Map<string, PathInfo>();
    for (const { name, info, real } of made) {
      const known = locked.has(info.path) ? null : database.find(info.path);
      installed.set(name, known?.info ?? core.trust.signed(info));
      if (known !== null) continue;
      const place = realPathOf(layout, info.path);
      moveAway(work, place);
      try {
        moveObject(real, place);
      } catch (error) {
        throw writeFailure(place, error);
      }
    }
    const registrations = [...installed.values()].map((info) => ({ info, derivationOutputs: NO_OUTPUTS }));
    await registerPaths(database, core.clock, registrations);
    done = true;
    return new Map([...installed].map(([name, info]) => [name, database.find(info.path)?.info ?? info]));
  } finally {
    locks.release(done);
  }
}

/**
 * Compares every output of a check with the valid one; equal ones become trusted as built here.
 * @throws BuildFailure `NotDeterministic` in Nix's words, one line per differing output; with `keepCheck` these are kept as `.check`.
 * `OutputRejected` for a fixed output with another hash.
 */
export async function compareOutputs(
  core: StoreCore,
  { drvPath, options }: BuildRequest,
  made: readonly MadeOutput[],
): Promise<void> {
  const { layout, database } = core;
  const differences: string[] = [];
  for (const { info, real } of made) {
    const known = database.find(info.path)?.info;
    // Only a fixed output with another hash has an unknown path; its own fault is reported.
    if (known === undefined) continue;
    if (Buffer.compare(known.narHash, info.narHash) === 0) {
      if (known.ultimate) continue;
      await database.write(() => updatePath(database, core.trust.signed({ ...known, ultimate: true })));
      continue;
    }
    const place = realPathOf(layout, info.path);
    let difference = `derivation '${drvPath}' may not be deterministic: output '${place}' differs`;
    if (options.keepCheck) {
      const kept = `${place}.check`;
      await removeTree(kept);
      moveObject(real, kept);
      difference += ` from '${kept}'`;
    }
    differences.push(difference);
  }
  if (differences.length > 0) throw new BuildFailure("NotDeterministic", differences.join("\n"));
  const lie = made.find((output) => output.fault !== null);
  if (lie !== undefined) throw new BuildFailure("OutputRejected", lie.fault!);
}
