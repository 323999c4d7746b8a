// Remembers one store's path infos, so that closures are walked with few queries.
import { EngineError } from "../base/errors.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { PathStore } from "./store.ts";

/** A cache of one store's path infos. Only for paths that stay valid while it is used (roots, inputs of a run). */
export class PathInfos {
  readonly #store: PathStore;
  readonly #known = new Map<StorePath, PathInfo>();

  constructor(store: PathStore) {
    this.#store = store;
  }

  /** Adds an info learned elsewhere. */
  remember(info: PathInfo): void {
    this.#known.set(info.path, info);
  }

  forget(path: StorePath): void {
    this.#known.delete(path);
  }

  /** Infos of all the paths, with one query for the unknown ones. Throws `STORE_PATH_NOT_VALID` for the first that is not valid. */
  async get(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> {
    const found = new Map<StorePath, PathInfo>();
    const unknown: StorePath[] = [];
    for (const path of paths) {
      const info = this.#known.get(path);
      if (info === undefined) unknown.push(path);
      else found.set(path, info);
    }
    if (unknown.length > 0) {
      const answers = await this.#store.queryPathInfos(unknown, signal);
      for (const path of unknown) {
        const info = answers.get(path);
        if (info === undefined) {
          const where = this.#store.uri === "auto" ? "this machine's own store (auto)" : `'${this.#store.uri}'`;
          throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not valid in ${where}`);
        }
        this.#known.set(path, info);
        found.set(path, info);
      }
    }
    return found;
  }

  /** The closure of the paths over references, references before referrers. */
  async closure(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<PathInfo[]> {
    const infos = new Map<StorePath, PathInfo>();
    let frontier = new Set(paths);
    while (frontier.size > 0) {
      const answers = await this.get(frontier, signal);
      const next = new Set<StorePath>();
      for (const [path, info] of answers) infos.set(path, info);
      for (const info of answers.values()) {
        for (const reference of info.references) if (!infos.has(reference)) next.add(reference);
      }
      frontier = next;
    }
    return referencesFirst(infos);
  }
}

/** Orders path infos so that every path comes after its references. Ignores references outside the map. */
export function referencesFirst(infos: ReadonlyMap<StorePath, PathInfo>): PathInfo[] {
  const order: PathInfo[] = [];
  const state = new Set<StorePath>();
  for (const start of infos.values()) {
    if (state.has(start.path)) continue;
    state.add(start.path);
    const stack: { info: PathInfo; next: number }[] = [{ info: start, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const reference = top.info.references[top.next++];
      if (reference === undefined) {
        order.push(top.info);
        stack.pop();
        continue;
      }
      const info = infos.get(reference);
      if (info === undefined || state.has(reference)) continue;
      state.add(reference);
      stack.push({ info, next: 0 });
    }
  }
  return order;
}
