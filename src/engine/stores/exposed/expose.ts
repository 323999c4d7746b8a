// Adapts an embedded store to the port of the protocol servers, so that Nix and this program can use it from elsewhere.
import { lstatSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { EngineError } from "../../base/errors.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import { derivationStorePath } from "../../derivation/hash-modulo.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import {
  notServed,
  type ServedBuild,
  type ServedBuildLimits,
  type ServedCall,
  type ServedContents,
  type StoreHandler,
} from "../../protocols/handler.ts";
import type { DerivedPath } from "../../protocols/values/derived-path.ts";
import type { Realisation } from "../../protocols/values/realisation.ts";
import type { BuildMode, GcRequest, GcResult, NarRequest } from "../../protocols/worker/codec.ts";
import { isContentAddressed } from "../../protocols/worker/content-addressed.ts";
import type { MissingPaths } from "../../protocols/worker/queries.ts";
import { storePathIn } from "../embedded/collector/mirrored-roots.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import { printFault } from "../embedded/verify.ts";
import { addContents } from "./add-contents.ts";
import { ServedRealisations } from "./answer-realisations.ts";
import { collect, collectorNotices } from "./collect.ts";
import { type BuildDefaults, servedBuildOptions } from "./limits.ts";
import { Realiser } from "./realiser.ts";

/** Settings of a served store besides those it was opened with. */
export interface ExposeOptions {
  /** Limits of builds when the client sets none. */
  readonly defaults: BuildDefaults;
}

/** Maximum size of a log that a client may add, in bytes. */
const MAX_LOG = 64 * 1024 * 1024;

/**
 * The store as the servers see it. Temporary roots of a client live as long as the store stays open, so open a store for each client
 * if that matters (Nix: one process per connection).
 */
export function exposeStore(store: EmbeddedStore, options: ExposeOptions): StoreHandler {
  return new ExposedStore(store, options);
}

class ExposedStore implements StoreHandler {
  readonly #store: EmbeddedStore;
  readonly #options: ExposeOptions;
  readonly #realisations: ServedRealisations;

  constructor(store: EmbeddedStore, options: ExposeOptions) {
    this.#store = store;
    this.#options = options;
    this.#realisations = new ServedRealisations(store);
  }

  async isValidPath(path: StorePath): Promise<boolean> {
    return (await this.#store.queryValidPaths([path])).has(path);
  }

  async queryValidPaths(
    paths: readonly StorePath[],
    substitute: boolean,
    call: ServedCall,
  ): Promise<Iterable<StorePath>> {
    const valid = await this.#store.queryValidPaths(paths);
    if (!substitute || valid.size === new Set(paths).size) return valid;
    const missing = paths.filter((path) => !valid.has(path));
    for (const path of await this.#store.querySubstitutable(missing, call.signal)) {
      // A path that cannot be fetched after all is simply not valid.
      await this.#store.ensurePath(path, () => undefined, call.signal).catch(() => undefined);
    }
    call.signal.throwIfAborted();
    return this.#store.queryValidPaths(paths);
  }

  async queryPathInfo(path: StorePath): Promise<PathInfo | null> {
    return (await this.#store.queryPathInfos([path])).get(path) ?? null;
  }

  queryAllValidPaths(): Promise<Iterable<StorePath>> {
    return this.#store.queryAllValidPaths();
  }

  queryReferrers(path: StorePath): Promise<Iterable<StorePath>> {
    return this.#store.queryReferrers(path);
  }

  queryValidDerivers(path: StorePath): Promise<Iterable<StorePath>> {
    return this.#store.queryValidDerivers(path);
  }

  queryPathFromHashPart(hashPart: string): Promise<StorePath | null> {
    return this.#store.queryPathFromHashPart(hashPart);
  }

  querySubstitutablePaths(paths: readonly StorePath[], call: ServedCall): Promise<Iterable<StorePath>> {
    return this.#store.querySubstitutable(paths, call.signal);
  }

  async queryMissing(targets: readonly DerivedPath[], call: ServedCall): Promise<MissingPaths> {
    const missing = await this.#store.queryMissing(targets, call.signal);
    return {
      willBuild: [...missing.willBuild],
      willSubstitute: [...missing.willSubstitute],
      unknown: [...missing.unknown],
      downloadSize: missing.downloadSize,
      narSize: missing.narSize,
    };
  }

  async queryDerivationOutputs(drvPath: StorePath): Promise<ReadonlyMap<string, StorePath | null>> {
    await this.#demandValid(drvPath);
    return this.#realisations.outputsOf(drvPath);
  }

  queryRealisation(id: string): Promise<StorePath | null> {
    return this.#store.queryRealisation(id);
  }

  registerRealisation(realisation: Realisation): Promise<void> {
    return this.#store.registerRealisation(realisation.id, realisation.path);
  }

  async narFromPath(path: StorePath, call: ServedCall): Promise<AsyncIterable<Uint8Array>> {
    await this.#demandValid(path);
    return this.#store.narFromPath(path, 0n, call.signal);
  }

  async addToStoreNar(request: NarRequest, nar: AsyncIterable<Uint8Array>, call: ServedCall): Promise<void> {
    const { info } = request;
    const present = await this.#store.lockValidPaths([info.path]);
    if (present.has(info.path)) {
      if (request.repair) throw notServed("repair");
      return;
    }
    const checkSignatures = request.checkSignatures || !call.trusted;
    await this.#store.addPaths([{ info, nar: () => nar, isChecked: false }], { checkSignatures }, call.signal);
  }

  addToStore(request: ServedContents, contents: AsyncIterable<Uint8Array>, call: ServedCall): Promise<PathInfo> {
    return addContents(this.#store, request, contents, call.signal);
  }

  addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    return this.#store.addSignatures(path, signatures);
  }

  addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#store.addBuildLog(drvPath, limited(drvPath, log));
  }

  async buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<ServedBuild> {
    // A client that may name output paths could pass off anything as an output (Nix: daemon.cc, BuildDerivation).
    if (!call.trusted && !isContentAddressed(derivation)) {
      throw new EngineError(
        "store",
        "STORE_NOT_PRIVILEGED",
        "you are not privileged to build input-addressed derivations",
      );
    }
    const named = call.trusted ? drvPath : derivationStorePath({ ...derivation, inputDrvs: new Map() });
    return this.#realiser(limits, call).buildOne(named, derivation, mode);
  }

  async buildPaths(
    targets: readonly DerivedPath[],
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<readonly ServedBuild[]> {
    return this.#realiser(limits, call).realise(targets, mode);
  }

  #realiser(limits: ServedBuildLimits | null, call: ServedCall): Realiser {
    return new Realiser(this.#store, this.#realisations, {
      options: servedBuildOptions(limits, call.options, this.#options.defaults),
      maxJobs: Math.max(1, call.options?.maxBuildJobs ?? 1),
      keepGoing: call.options?.keepGoing ?? false,
      // Limits come from the serve protocol, whose builds never substitute (Nix: nix-store.cc, opServe).
      substitute: limits === null && (call.options?.useSubstitutes ?? true),
      call,
    });
  }

  async ensurePath(path: StorePath, call: ServedCall): Promise<void> {
    if ((await this.#store.lockValidPaths([path])).has(path)) return;
    await this.#store.ensurePath(path, () => undefined, call.signal);
  }

  addTempRoot(path: StorePath): Promise<void> {
    return this.#store.addTempRoots([path]);
  }

  addIndirectRoot(link: string): Promise<void> {
    return this.#store.addIndirectRoot(link);
  }

  async addPermRoot(path: StorePath, link: string): Promise<string> {
    if (storePathIn(this.#store.layout, link) !== null) {
      throw new EngineError(
        "store",
        "STORE_ROOT_REFUSED",
        `creating a garbage collector root (${link}) in the Nix store is forbidden`,
      );
    }
    await this.#store.addTempRoots([path]);
    if (occupied(link, (target) => storePathIn(this.#store.layout, target) !== null)) {
      throw new EngineError("store", "STORE_ROOT_REFUSED", `cannot create symlink '${link}'; already exists`);
    }
    symlinkSync(path, link);
    await this.#store.addIndirectRoot(link);
    return link;
  }

  async findRoots(call: ServedCall): Promise<ReadonlyMap<string, StorePath>> {
    const roots = new Map<string, StorePath>();
    for (const [path, links] of await this.#store.findRoots()) {
      for (const link of links) {
        // Other users' processes are private (Nix censors them for users it does not trust).
        if (call.trusted || !/^(?:\/proc\/|\{temp:)/.test(link)) roots.set(link, path);
      }
    }
    return roots;
  }

  collectGarbage(request: GcRequest, call: ServedCall): Promise<GcResult> {
    return collect(
      this.#store,
      request,
      collectorNotices((message) => call.notice(message)),
      call.signal,
    );
  }

  optimiseStore(): Promise<void> {
    return Promise.reject(notServed("optimiseStore"));
  }

  async verifyStore(checkContents: boolean, repair: boolean, call: ServedCall): Promise<boolean> {
    if (repair) throw notServed("repair");
    const { faults } = await this.#store.verify({ checkContents }, call.signal);
    for (const fault of faults) call.notice(printFault(fault));
    return faults.some((fault) => fault.type !== "forgotten");
  }

  async #demandValid(path: StorePath): Promise<void> {
    if (await this.isValidPath(path)) return;
    throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not valid`);
  }
}

/** Whether something exists where a root is to be made; removes a link that may be replaced. */
function occupied(link: string, replaceable: (target: string) => boolean): boolean {
  try {
    if (!lstatSync(link).isSymbolicLink() || !replaceable(readlinkSync(link))) return true;
    unlinkSync(link);
    return false;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** A client's log, up to the maximum size. */
async function* limited(drvPath: StorePath, log: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of log) {
    size += chunk.length;
    if (size > MAX_LOG) {
      throw new EngineError(
        "store",
        "STORE_LOG_TOO_LONG",
        `the log of '${drvPath}': expected at most ${MAX_LOG} bytes, found more`,
      );
    }
    yield chunk;
  }
}
