// Makes sure that what the destination has of the first round's outputs is the first round's.
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { PathInfos } from "../../stores/path-infos.ts";
import type { DestinationStore } from "../../stores/store.ts";

/**
 * Which outputs the destination has already. A later round may have left others there under the same names: they are deleted, so that the first
 * round's can come.
 * @throws what the store throws
 */
export async function presentAs(
  { store, infos }: { readonly store: DestinationStore; readonly infos: PathInfos },
  outputs: readonly PathInfo[],
  signal: AbortSignal,
): Promise<ReadonlySet<StorePath>> {
  const present = await store.lockValidPaths(
    outputs.map(({ path }) => path),
    signal,
  );
  if (present.size === 0) return present;
  const known = await store.queryPathInfos(present, signal);
  const isOther = ({ path, narHash }: PathInfo): boolean => {
    const there = known.get(path);
    return there !== undefined && Buffer.compare(there.narHash, narHash) !== 0;
  };
  const others = outputs.filter(isOther).map(({ path }) => path);
  if (others.length === 0) return present;
  await store.deletePaths(others, true);
  for (const path of others) infos.forget(path);
  return new Set([...present].filter((path) => !others.includes(path)));
}
