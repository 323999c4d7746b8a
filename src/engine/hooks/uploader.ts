// Copies what was built into another store while other builds run: what paths refer to first, each path once, every path named when it is there.
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import { copyPaths } from "../stores/copy.ts";
import { PathInfos } from "../stores/path-infos.ts";
import type { PathSink, PathStore } from "../stores/store.ts";

export interface UploaderOptions {
  readonly from: PathStore;
  readonly to: PathStore & PathSink;
  /** Adds signatures before a path is sent. */
  readonly sign: (info: PathInfo) => PathInfo;
}

/** Uploads to one store; jobs may run beside each other, and a cache takes care that none sends what another is sending. */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #infos: PathInfos;
  /** Paths the other store is known to have. */
  readonly #there = new Set<StorePath>();

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#infos = new PathInfos(options.from);
  }

  /**
   * Makes paths and everything they refer to valid in the other store.
   * @param logged hears of every path that has arrived
   * @throws what either store throws; what has arrived by then stays
   */
  async upload(
    paths: readonly StorePath[],
    logged: (lines: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { from, to, sign } = this.#options;
    const closure = await this.#infos.closure(paths, signal);
    const unknown = closure.filter((info) => !this.#there.has(info.path));
    const names = unknown.map((info) => info.path);
    const present = await to.queryValidPaths(names, signal);
    const missing = unknown.filter((info) => !present.has(info.path));
    if (missing.length > 0) {
      await copyPaths({
        from,
        to,
        paths: missing.map((info) => sign({ ...info, ultimate: false })),
        checkSignatures: false,
        report: () => undefined,
        signal,
      });
    }
    for (const path of names) this.#there.add(path);
    const sent = new Set(missing.map((info) => info.path));
    const lines = paths.map((path) =>
      sent.has(path) ? `uploaded '${path}' to '${to.uri}'` : `'${path}' is in '${to.uri}' already`,
    );
    const more = paths.reduce((rest, path) => rest - (sent.has(path) ? 1 : 0), sent.size);
    logged(more === 0 ? lines : [...lines, `and ${more} ${more === 1 ? "path" : "paths"} they refer to`]);
  }
}
