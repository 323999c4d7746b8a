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

/** Uploads to one store; jobs may run beside each other. */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #infos: PathInfos;
  /** Paths the other store is known to have, or that are on their way there. */
  readonly #sent = new Map<StorePath, Promise<void>>();

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#infos = new PathInfos(options.from);
  }

  /**
   * Makes paths and everything they refer to valid in the other store.
   * @param logged hears of every path that has arrived
   * @throws what either store throws; what has arrived by then stays
   */
  async upload(paths: readonly StorePath[], logged: (lines: readonly string[]) => void, signal: AbortSignal): Promise<void> {
    const { from, to, sign } = this.#options;
    const closure = await this.#infos.closure(paths, signal);
    // Nobody may come in between here and the claim below, or a path would be sent twice.
    const fresh = closure.filter((info) => !this.#sent.has(info.path));
    const others = closure.flatMap((info) => this.#sent.get(info.path) ?? []);
    const mine = Promise.withResolvers<void>();
    // Whoever waits for it looks at it; when nobody does, the job itself tells.
    mine.promise.catch(() => undefined);
    for (const info of fresh) this.#sent.set(info.path, mine.promise);
    try {
      // What another job sends must be there before what refers to it.
      await Promise.all(others);
      const names = fresh.map((info) => info.path);
      const present = await to.queryValidPaths(names, signal);
      const missing = fresh.filter((info) => !present.has(info.path));
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
      const there = new Set(missing.map((info) => info.path));
      logged(
        paths.map((path) => (there.has(path) ? `uploaded '${path}' to '${to.uri}'` : `'${path}' is in '${to.uri}' already`)),
      );
      const more = missing.length - paths.filter((path) => there.has(path)).length;
      if (more > 0) logged([`and ${more} ${more === 1 ? "path" : "paths"} they refer to`]);
      mine.resolve();
    } catch (error) {
      for (const info of fresh) if (this.#sent.get(info.path) === mine.promise) this.#sent.delete(info.path);
      mine.reject(error);
      throw error;
    }
  }
}
