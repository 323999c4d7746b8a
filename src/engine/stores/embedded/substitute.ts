// Fetches paths from substituters, in the order of their priorities, and reports beforehand what would be fetched and built.

import { EngineError } from "../../base/errors.ts";
import { sortByReferences } from "../../derivation/closure.ts";
import { statedOutputPaths } from "../../derivation/hash-modulo.ts";
import { parseDerivationOptions } from "../../derivation/options.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { copyPaths } from "../copy.ts";
import type { NarStream } from "../nar-stream.ts";
import type { DerivedPath, Missing, PathStore, TransferProgress } from "../store.ts";
import type { StoreCore } from "./core.ts";
import { readDerivation } from "./files/derivation-files.ts";
import { importPaths } from "./import.ts";

/** A place to fetch paths from, as far as this store needs it. */
export interface Substituter extends Pick<PathStore, "uri" | "queryPathInfos" | "narFromPath" | "checksNars"> {
  /** Lower ones are queried first (`priority`). */
  readonly priority: number;
  /** Whether its paths need no signature (`trusted`). */
  readonly trusted: boolean;
  /** Bytes to download for a path, 0n when unknown. */
  readonly downloadSize: (path: StorePath) => bigint;
  /** Called when it has a path but was skipped because no trusted key has signed it. */
  readonly disbelieved: (path: StorePath) => void;
}

/** A path one of the substituters has. */
interface Offer {
  readonly info: PathInfo;
  readonly from: Substituter;
}

/** A path to fetch, and its listeners. */
interface Wanted {
  readonly path: StorePath;
  readonly report: (progress: TransferProgress) => void;
  readonly signal: AbortSignal | undefined;
  readonly copying: (path: StorePath, from: string) => void;
}

/** The substituters of one open store. */
export class Substitution {
  readonly #core: StoreCore;
  readonly #substituters: readonly Substituter[];
  /** Fetches in progress, so that two callers fetch a path once. */
  readonly #running = new Map<StorePath, Promise<void>>();
  /** Paths that a source offered and then failed to deliver, or delivered differently than announced. */
  readonly #refused = new Map<Substituter, Set<StorePath>>();
  #refusals = 0;
  /** Paths that only an untrusted source has, and its name. */
  readonly #untrusted = new Map<StorePath, string>();

  constructor(core: StoreCore, substituters: readonly Substituter[]) {
    this.#core = core;
    this.#substituters = [...substituters].sort((one, other) => one.priority - other.priority);
  }

  /** Which of the paths can be fetched: some substituter has them and this store trusts it. */
  async querySubstitutable(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>> {
    return new Set((await this.#offers(paths, signal)).keys());
  }

  /** See {@link SubstitutingStore.ensurePath}. Throws `SUBSTITUTE_NOT_FOUND` and the errors of importing. */
  async ensurePath(
    path: StorePath,
    report: (progress: TransferProgress) => void,
    signal: AbortSignal | undefined,
    copying: (path: StorePath, from: string) => void,
  ): Promise<void> {
    await this.#core.tempRoots.add([path]);
    if (this.#core.database.isValid(path)) return;
    const running = this.#running.get(path);
    if (running !== undefined) {
      await running.catch(() => undefined);
      // The other caller's failure (or abort) need not be ours.
      return this.ensurePath(path, report, signal, copying);
    }
    const own = this.#fetchClosure({ path, report, signal, copying });
    this.#running.set(path, own);
    try {
      await own;
    } finally {
      this.#running.delete(path);
    }
  }

  /** Fetches; when a source fails for a path, fetches it from the next one that has it. */
  async #fetchClosure(wanted: Wanted): Promise<void> {
    let failure: { readonly error: unknown } | null = null;
    for (;;) {
      const refusals = this.#refusals;
      try {
        await this.#fetchOnce(wanted);
        return;
      } catch (error) {
        wanted.signal?.throwIfAborted();
        // If nobody else has it, report the first failure.
        failure ??= { error: asNotFound(wanted.path, error) };
        if (this.#refusals === refusals) throw failure.error;
      }
    }
  }

  async #fetchOnce({ path, report, signal, copying }: Wanted): Promise<void> {
    const offers = new Map<StorePath, Offer>();
    for (let layer = [path]; layer.length > 0; ) {
      const found = await this.#offers(layer, signal);
      for (const wanted of layer) {
        const offer = found.get(wanted);
        if (offer === undefined) throw notFound(wanted, path, this.#untrusted.get(wanted) ?? null);
        offers.set(wanted, offer);
      }
      const next = new Set([...found.values()].flatMap(({ info }) => info.references));
      layer = [...next].filter((reference) => !offers.has(reference) && !this.#core.database.isValid(reference));
    }
    await this.#core.tempRoots.add(offers.keys());
    const read = (wanted: StorePath, size: bigint, both?: AbortSignal): NarStream => {
      const { from } = offers.get(wanted)!;
      copying(wanted, from.uri);
      return this.#watched(from, wanted, size, both);
    };
    await copyPaths({
      from: { narFromPath: read, checksNars: [...offers.values()].every(({ from }) => from.checksNars) },
      // Every offer was checked when it was chosen.
      to: { addPaths: (paths, _options, both) => importPaths(this.#core, paths, false, both ?? null) },
      paths: sortByReferences([...offers.values()].map(({ info }) => info)),
      checkSignatures: false,
      report,
      signal: signal ?? new AbortController().signal,
    });
  }

  /** Records that a source failed for a path, so that it is not asked again. */
  async *#watched(
    from: Substituter,
    path: StorePath,
    size: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, unknown, undefined> {
    try {
      return yield* from.narFromPath(path, size, signal);
    } catch (error) {
      if (signal?.aborted !== true) {
        const refused = this.#refused.get(from) ?? new Set();
        this.#refused.set(from, refused.add(path));
        this.#refusals += 1;
      }
      throw error;
    }
  }

  /** For each path, the first trusted substituter that has it. */
  async #offers(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, Offer>> {
    const offers = new Map<StorePath, Offer>();
    let left = [...new Set(paths)];
    let failure: unknown = null;
    for (const from of this.#substituters) {
      if (left.length === 0) break;
      try {
        const refused = this.#refused.get(from);
        const asked = refused === undefined ? left : left.filter((path) => !refused.has(path));
        for (const [path, info] of await from.queryPathInfos(asked, signal)) {
          if (from.trusted || this.#core.trust.isTrusted(info)) offers.set(path, { info, from });
          else {
            this.#untrusted.set(path, from.uri);
            from.disbelieved(path);
          }
        }
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason;
        // Another source may have it; if none has, this is the reason.
        failure ??= error;
      }
      left = left.filter((path) => !offers.has(path));
    }
    if (left.length > 0 && failure !== null) throw failure;
    return offers;
  }

  /** See {@link SubstitutingStore.queryMissing} (Nix: `Store::queryMissing`). */
  async queryMissing(targets: readonly DerivedPath[], signal?: AbortSignal): Promise<Missing> {
    const { database } = this.#core;
    const willBuild = new Set<StorePath>();
    const willSubstitute = new Set<StorePath>();
    const unknown = new Set<StorePath>();
    let downloadSize = 0n;
    let narSize = 0n;
    const seen = new Set<string>();
    const fresh = (key: string): boolean => !seen.has(key) && seen.add(key) !== undefined;

    for (let layer: readonly DerivedPath[] = targets; layer.length > 0; ) {
      const next: DerivedPath[] = [];
      const plain = new Set<StorePath>();
      const built: { readonly drvPath: StorePath; readonly needed: Needed }[] = [];
      for (const target of layer) {
        if (!fresh(target.type === "opaque" ? target.path : `${target.drvPath}^${[target.outputs].flat().join(",")}`))
          continue;
        if (target.type === "opaque") {
          if (!database.isValid(target.path)) plain.add(target.path);
        } else if (database.isValid(target.drvPath)) {
          const needed = this.#needed(target.drvPath, target.outputs);
          if (needed !== null) built.push({ drvPath: target.drvPath, needed });
        } else {
          unknown.add(target.drvPath);
        }
      }
      const candidates = built.flatMap(({ needed }) => (needed.substitutable ? needed.outputs : []));
      const offers = await this.#offers([...plain, ...candidates], signal);
      const substitute = (path: StorePath): void => {
        const { info, from } = offers.get(path)!;
        if (willSubstitute.has(path)) return;
        willSubstitute.add(path);
        narSize += info.narSize;
        downloadSize += from.downloadSize(path);
        for (const reference of info.references) next.push({ type: "opaque", path: reference });
      };
      for (const path of plain) {
        if (offers.has(path)) substitute(path);
        else unknown.add(path);
      }
      for (const { drvPath, needed } of built) {
        if (needed.substitutable && needed.outputs.every((path) => offers.has(path))) {
          for (const path of needed.outputs) substitute(path);
          continue;
        }
        willBuild.add(drvPath);
        next.push(...needed.inputs);
      }
      layer = next;
    }
    return { willBuild, willSubstitute, unknown, downloadSize, narSize };
  }

  /** What it takes to make outputs of a valid derivation; null when they are valid. */
  #needed(drvPath: StorePath, wanted: "all" | readonly string[]): Needed | null {
    const { database, layout, settings } = this.#core;
    const derivation = readDerivation(layout, drvPath);
    const isAllowed = settings.alwaysSubstitute || parseDerivationOptions(derivation).allowSubstitutes;
    const outputs = [...statedOutputPaths(derivation)].filter(([name]) => wanted === "all" || wanted.includes(name));
    const invalid = outputs.filter(([, path]) => path === null || !database.isValid(path));
    if (invalid.length === 0) return null;
    const inputs: DerivedPath[] = [...derivation.inputSrcs].map((path) => ({ type: "opaque", path }));
    for (const [input, { outputs: names }] of derivation.inputDrvs) {
      inputs.push({ type: "built", drvPath: input, outputs: [...names] });
    }
    return {
      outputs: invalid.flatMap(([, path]) => path ?? []),
      substitutable: isAllowed && invalid.every(([, path]) => path !== null),
      inputs,
    };
  }
}

interface Needed {
  /** Known paths that are not valid. */
  readonly outputs: readonly StorePath[];
  /** Whether substitutes are allowed and can be queried. */
  readonly substitutable: boolean;
  readonly inputs: readonly DerivedPath[];
}

/** A narinfo without its file counts as absent (Nix: `SubstituteGone`). */
function asNotFound(path: StorePath, error: unknown): unknown {
  if (!(error instanceof EngineError) || error.code !== "CACHE_NAR_MISSING") return error;
  return new EngineError("store", "SUBSTITUTE_NOT_FOUND", `path '${path}' cannot be fetched: ${error.message}`, {
    cause: error,
    ...(error.hint === null ? {} : { hint: error.hint }),
  });
}

/** @param untrusted the source that has it but is not trusted */
function notFound(path: StorePath, root: StorePath, untrusted: string | null): EngineError {
  const why = path === root ? "" : `, which '${root}' refers to`;
  const who =
    untrusted === null
      ? "no substituter has it"
      : `what '${untrusted}' has is not signed by any of the keys in 'trusted-public-keys'`;
  return new EngineError("store", "SUBSTITUTE_NOT_FOUND", `path '${path}'${why} is not valid, and ${who}`, {
    hint: "Build it, copy it here, or look at substituters and trusted-public-keys.",
  });
}
