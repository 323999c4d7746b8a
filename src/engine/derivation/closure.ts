// Closures over references, and the order in which paths may be copied: references come first.
import { EngineError } from "../base/errors.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import { orderByInputs } from "./order.ts";

/** All paths reachable from the roots, roots included. `referencesOf` returns a path's references. */
export function closureOf(
  roots: Iterable<StorePath>,
  referencesOf: (path: StorePath) => Iterable<StorePath>,
): Set<StorePath> {
  const closure = new Set<StorePath>(roots);
  // A Set can grow during iteration, which then also visits the additions.
  for (const path of closure) for (const reference of referencesOf(path)) closure.add(reference);
  return closure;
}

/**
 * The infos of a closure, queried layer by layer, so that the number of queries is the depth of the graph. Throws `STORE_PATH_NOT_VALID`
 * for paths that `query` does not return.
 */
export async function queryClosure(
  roots: Iterable<StorePath>,
  query: (paths: readonly StorePath[]) => Promise<ReadonlyMap<StorePath, PathInfo>>,
): Promise<Map<StorePath, PathInfo>> {
  const infos = new Map<StorePath, PathInfo>();
  let layer = [...new Set(roots)];
  while (layer.length > 0) {
    const answers = await query(layer);
    const next = new Set<StorePath>();
    for (const path of layer) {
      const info = answers.get(path);
      if (info === undefined) throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not valid`);
      infos.set(path, info);
    }
    for (const path of layer) {
      for (const reference of infos.get(path)!.references) if (!infos.has(reference)) next.add(reference);
    }
    layer = [...next];
  }
  return infos;
}

/** Infos sorted so that references come first; ignores self-references and references outside the list. Throws `REFERENCE_CYCLE`. */
export function sortByReferences(infos: Iterable<PathInfo>): PathInfo[] {
  const byPath = new Map<StorePath, PathInfo>();
  for (const info of infos) byPath.set(info.path, info);
  const result = orderByInputs(byPath.keys(), (path) =>
    byPath.get(path)!.references.filter((reference) => reference !== path),
  );
  if (result.type === "cycle") {
    throw new EngineError(
      "store",
      "REFERENCE_CYCLE",
      `paths refer to each other in a circle: ${result.cycle.join(", ")}`,
    );
  }
  return result.order.map((path) => byPath.get(path)!);
}
