// Fetches paths from substituters, in the order of their priorities, and says beforehand what would be fetched and built.
import { parseDerivationOptions } from "../../derivation/options.ts";
import { statedOutputPaths } from "../../derivation/hash-modulo.ts";
import { sortByReferences } from "../../derivation/closure.ts";
import { EngineError } from "../../errors.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { DerivedPath, IncomingPath, Missing, PathStore, TransferProgress } from "../store.ts";
import type { StoreCore } from "./core.ts";
import { readDerivation } from "./derivation-files.ts";
import { importPaths } from "./import.ts";

/** Where paths are fetched from, as far as this store needs it. */
export interface Substituter extends Pick<PathStore, "uri" | "queryPathInfos" | "narFromPath"> {
  /** Lower ones are asked first (`priority`). */
  readonly priority: number;
  /** Whether its paths need no signature (`trusted`). */
  readonly trusted: boolean;
  /** Bytes to download for a path, 0n when it does not say. */
  readonly downloadSize: (path: StorePath) => bigint;
}

/** A path one of the substituters has. */
interface Offer {
  readonly info: PathInfo;
  readonly from: Substituter;
}

/** The substituters of one open store. */
export class Substitution {
  readonly #core: StoreCore;
  readonly #substituters: readonly Substituter[];
  /** Fetches under way, so that two who want a path fetch it once. */
  readonly #running = new Map<StorePath, Promise<void>>();

  constructor(core: StoreCore, substituters: readonly Substituter[]) {
    this.#core = core;
    this.#substituters = [...substituters].sort((one, other) => one.priority - other.priority);
  }

  /** Which of the paths can be had: some substituter has them and this store believes it. */
  async querySubstitutable(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>> {
    return new Set((await this.#offers(paths, signal)).keys());
  }

  /** See {@link SubstitutingStore.ensurePath}. Throws `SUBSTITUTE_NOT_FOUND` and what importing throws. */
  async ensurePath(
    path: StorePath,
    report: (progress: TransferProgress) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#core.tempRoots.add([path]);
    if (this.#core.database.isValid(path)) return;
    const running = this.#running.get(path);
    if (running !== undefined) {
      await running.catch(() => undefined);
      // The other's failure (or its being given up) need not be ours.
      return this.ensurePath(path, report, signal);
    }
    const own = this.#fetchClosure(path, report, signal);
    this.#running.set(path, own);
    try {
      await own;
    } finally {
      this.#running.delete(path);
    }
  }

  async #fetchClosure(path: StorePath, report: (progress: TransferProgress) => void, signal?: AbortSignal): Promise<void> {
    const offers = new Map<StorePath, Offer>();
    for (let layer = [path]; layer.length > 0; ) {
      const found = await this.#offers(layer, signal);
      for (const wanted of layer) {
        const offer = found.get(wanted);
        if (offer === undefined) throw notFound(wanted, path);
        offers.set(wanted, offer);
      }
      const next = new Set([...found.values()].flatMap(({ info }) => info.references));
      layer = [...next].filter((reference) => !offers.has(reference) && !this.#core.database.isValid(reference));
    }
    await this.#core.tempRoots.add(offers.keys());
    const sorted = sortByReferences([...offers.values()].map(({ info }) => info));
    const expectedBytes = sorted.reduce((sum, info) => sum + info.narSize, 0n);
    let doneBytes = 0n;
    report({ doneBytes, expectedBytes });
    const counted = async function* (offer: Offer): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of offer.from.narFromPath(offer.info.path, offer.info.narSize, signal)) {
        doneBytes += BigInt(chunk.length);
        yield chunk;
        report({ doneBytes, expectedBytes });
      }
    };
    const incoming = sorted.map((info): IncomingPath => ({ info, nar: () => counted(offers.get(info.path)!) }));
    // Every offer has been judged when it was chosen.
    await importPaths(this.#core, incoming, false, signal ?? null);
  }

  /** For each path the first substituter that has it and is believed. */
  async #offers(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, Offer>> {
    const offers = new Map<StorePath, Offer>();
    let left = [...new Set(paths)];
    let failure: unknown = null;
    for (const from of this.#substituters) {
      if (left.length === 0) break;
      try {
        for (const [path, info] of await from.queryPathInfos(left, signal)) {
          if (from.trusted || this.#core.trust.isTrusted(info)) offers.set(path, { info, from });
        }
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason;
        // Another one may have it; if none has, this is why.
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
        if (!fresh(target.type === "opaque" ? target.path : `${target.drvPath}^${[target.outputs].flat().join(",")}`)) continue;
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

  /** What making outputs of a valid derivation takes; null when they are valid. */
  #needed(drvPath: StorePath, wanted: "all" | readonly string[]): Needed | null {
    const { database, layout } = this.#core;
    const derivation = readDerivation(layout, drvPath);
    const outputs = [...statedOutputPaths(derivation)].filter(([name]) => wanted === "all" || wanted.includes(name));
    const invalid = outputs.filter(([, path]) => path === null || !database.isValid(path));
    if (invalid.length === 0) return null;
    const inputs: DerivedPath[] = [...derivation.inputSrcs].map((path) => ({ type: "opaque", path }));
    for (const [input, { outputs: names }] of derivation.inputDrvs) {
      inputs.push({ type: "built", drvPath: input, outputs: [...names] });
    }
    return {
      outputs: invalid.flatMap(([, path]) => path ?? []),
      substitutable:
        invalid.every(([, path]) => path !== null) && parseDerivationOptions(derivation).allowSubstitutes,
      inputs,
    };
  }
}

interface Needed {
  /** Known paths that are not valid. */
  readonly outputs: readonly StorePath[];
  /** Whether substitutes are allowed and could be asked for. */
  readonly substitutable: boolean;
  readonly inputs: readonly DerivedPath[];
}

function notFound(path: StorePath, root: StorePath): EngineError {
  const why = path === root ? "" : `, which '${root}' refers to`;
  return new EngineError(
    "store",
    "SUBSTITUTE_NOT_FOUND",
    `path '${path}'${why} is not valid, and no substituter that is trusted has it`,
    { hint: "Build it, copy it here, or look at substituters and trusted-public-keys." },
  );
}
