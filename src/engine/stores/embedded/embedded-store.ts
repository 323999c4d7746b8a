// The embedded store: this program's own store and executor on Nix's layout and database, as one object.

import { existsSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import { unlessAborted } from "../../base/unless-aborted.ts";
import { createInputHashes, statedOutputPaths } from "../../derivation/hash-modulo.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type {
  AddOptions,
  BuildAnswer,
  BuildReporter,
  BuildRequest,
  DerivedPath,
  DestinationStore,
  IncomingPath,
  Missing,
  StoreDescription,
  TransferProgress,
} from "../store.ts";
import { type Collected, type CollectorTask, collectGarbage } from "./collector/collect-garbage.ts";
import type { CollectorReport, CollectorScope } from "./collector/collector.ts";
import { deletePaths } from "./collector/delete.ts";
import { GcLock } from "./collector/gc-lock.ts";
import { addIndirectRoot, findRoots, findTempRoots, type Roots } from "./collector/roots.ts";
import { TempRoots } from "./collector/temp-roots.ts";
import type { StoreCore } from "./core.ts";
import { StoreDatabase } from "./database/database.ts";
import { queryRealisation, registerRealisation } from "./database/realisation-tables.ts";
import { updatePath } from "./database/register.ts";
import { Executor } from "./executor/executor.ts";
import { writeLog } from "./executor/process/build-log.ts";
import { readDerivation } from "./files/derivation-files.ts";
import { dumpPath } from "./files/dump.ts";
import { WorkDir } from "./files/work-dir.ts";
import { importPaths } from "./import.ts";
import { createLayout, layoutOf, realPathOf, type StoreLayout } from "./layout.ts";
import type { EmbeddedSettings } from "./settings.ts";
import { type Substituter, Substitution } from "./substitute.ts";
import { Trust } from "./trust.ts";
import { type VerifyReport, verifyStore } from "./verify.ts";

export interface OpenEmbeddedOptions {
  /** The directory that contains `nix/store` and `nix/var/nix`; created if missing. */
  readonly root: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly settings: EmbeddedSettings;
  readonly substituters: readonly Substituter[];
}

/**
 * Opens (or creates) a private store.
 * @throws EngineError `STORE_UNWRITABLE`, `STORE_SPLIT`, `STORE_SCHEMA_UNSUPPORTED`, `STORE_DATABASE_FAILED`, `KEY_MALFORMED`.
 */
export async function openEmbeddedStore(options: OpenEmbeddedOptions): Promise<EmbeddedStore> {
  const { clock, random, settings } = options;
  const trust = new Trust(settings);
  const layout = layoutOf(options.root);
  createLayout(layout);
  const database = StoreDatabase.open(layout, clock, random);
  const gcLock = new GcLock(layout.gcLock, clock);
  const tempRoots = new TempRoots(layout, gcLock, clock, random);
  let work: Promise<WorkDir> | null = null;
  const core: StoreCore = {
    layout,
    database,
    clock,
    random,
    settings,
    trust,
    gcLock,
    tempRoots,
    inputHashes: createInputHashes((drvPath) => readDerivation(layout, drvPath)),
    workDir: () => {
      work ??= WorkDir.open(layout, random);
      return work;
    },
  };
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    await (await work?.catch(() => null))?.close();
    await tempRoots.close();
    gcLock.close();
    database.close();
  };
  // Close only once: a closed descriptor may by then belong to something else.
  return new EmbeddedStore(core, options.substituters, () => (closing ??= close()));
}

/** An open embedded store. Must not be used after {@link EmbeddedStore.close}. */
export class EmbeddedStore implements DestinationStore {
  readonly uri: string;
  readonly checksNars = false;
  readonly #core: StoreCore;
  readonly #executor: Executor;
  readonly #substitution: Substitution;
  readonly #close: () => Promise<void>;
  readonly #closing = new AbortController();
  /** Running builds: closing the store waits until their builders have ended. */
  readonly #builds = new Set<Promise<unknown>>();

  constructor(core: StoreCore, substituters: readonly Substituter[], close: () => Promise<void>) {
    this.#core = core;
    this.uri = core.layout.root;
    this.#executor = new Executor(core);
    this.#substitution = new Substitution(core, substituters);
    this.#close = close;
  }

  /** Where things lie on disk. */
  get layout(): StoreLayout {
    return this.#core.layout;
  }

  /** How builders are sandboxed here. Throws `EXECUTOR_NO_SANDBOX`. */
  sandboxKind(): Promise<"bwrap" | "unshare" | "chroot"> {
    return this.#executor.sandboxKind();
  }

  async describe(): Promise<StoreDescription> {
    this.#closing.signal.throwIfAborted();
    return { uri: this.uri, nixVersion: null, protocol: "embedded", trusted: true };
  }

  async queryValidPaths(paths: Iterable<StorePath>): Promise<Set<StorePath>> {
    this.#closing.signal.throwIfAborted();
    const { database } = this.#core;
    return new Set([...paths].filter((path) => database.isValid(path)));
  }

  async queryPathInfos(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> {
    this.#closing.signal.throwIfAborted();
    const infos = new Map<StorePath, PathInfo>();
    for (const path of paths) {
      const found = this.#core.database.find(path);
      if (found !== null) infos.set(path, found.info);
    }
    return infos;
  }

  /** See {@link PathStore.narFromPath}. Throws `STORE_PATH_NOT_VALID`; also accepts the `.check` of a valid path. */
  async *narFromPath(
    path: StorePath,
    _sizeHint: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { database, layout } = this.#core;
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    const real = realPathOf(layout, path);
    if (!database.isValid(path) && !(path.endsWith(".check") && existsSync(real))) throw notValid(path);
    for await (const chunk of dumpPath(real)) {
      signal?.throwIfAborted();
      closing.throwIfAborted();
      yield chunk;
    }
  }

  addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    options: Pick<AddOptions, "checkSignatures">,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#while(signal, (until) => importPaths(this.#core, paths, options.checkSignatures, until));
  }

  async addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    const { database } = this.#core;
    await database.write(() => {
      const found = database.find(path);
      if (found === null) throw notValid(path);
      const all = [...new Set([...found.info.signatures, ...signatures])].sort();
      updatePath(database, { ...found.info, signatures: all });
    });
  }

  queryMissing(targets: readonly DerivedPath[], signal?: AbortSignal): Promise<Missing> {
    return this.#substitution.queryMissing(targets, signal);
  }

  querySubstitutable(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>> {
    return this.#substitution.querySubstitutable(paths, signal);
  }

  ensurePath(
    path: StorePath,
    report: (progress: TransferProgress) => void,
    signal?: AbortSignal,
    copying: (path: StorePath, from: string) => void = () => undefined,
  ): Promise<void> {
    return this.#substitution.ensurePath(path, report, signal, copying);
  }

  build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.#while(signal, (until) => {
      const build = this.#executor.build(request, report, until);
      this.#builds.add(build);
      build.catch(() => undefined).finally(() => this.#builds.delete(build));
      return build;
    });
  }

  /** The same as {@link EmbeddedStore.build}: everyone is trusted here. */
  buildFromClosure(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.build(request, report, signal);
  }

  /** Creates the private directory and the temporary roots file in advance. */
  async warmUp(): Promise<void> {
    await this.#core.workDir();
  }

  /** No bytes come from another machine. */
  heard(): null {
    return null;
  }

  async ping(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#core.database.statement("select 1").get();
  }

  /** See {@link LiveStore.lockValidPaths}: rooted first, then queried, so that nothing is deleted in between. */
  async lockValidPaths(paths: readonly StorePath[]): Promise<Set<StorePath>> {
    await this.#core.tempRoots.add(paths);
    return this.queryValidPaths(paths);
  }

  addTempRoots(paths: readonly StorePath[]): Promise<void> {
    return this.#core.tempRoots.add(paths);
  }

  async addIndirectRoot(link: string): Promise<void> {
    addIndirectRoot(this.#core.layout, link, this.#core.random);
  }

  addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    return writeLog(this.#core.layout, drvPath, log);
  }

  /** See {@link KeepingStore.deletePaths}. `ignoreLiveness` also deletes what roots keep alive. */
  deletePaths(paths: readonly StorePath[], ignoreLiveness = false): Promise<bigint> {
    return deletePaths(this.#collectorScope(ignoreLiveness), paths);
  }

  /** Reports or deletes what nothing keeps alive; see {@link collectGarbage}. */
  collectGarbage(task: CollectorTask, report: CollectorReport, signal: AbortSignal | null = null): Promise<Collected> {
    return collectGarbage(this.#collectorScope(false), task, report, signal);
  }

  /** Alive path → what keeps it alive: links, running programs (`/proc/…`) and processes at work (`{temp:PID}`). */
  async findRoots(): Promise<Roots> {
    const { database, layout } = this.#core;
    const roots = findRoots(layout, (path) => database.isValid(path));
    for (const [path, links] of await findTempRoots(layout)) {
      if (database.isValid(path)) roots.set(path, new Set([...(roots.get(path) ?? []), ...links]));
    }
    return roots;
  }

  #collectorScope(ignoreLiveness: boolean): CollectorScope {
    const { keepDerivations, keepOutputs } = this.#core.settings;
    const keeps = ignoreLiveness ? { keepDerivations: false, keepOutputs: false } : { keepDerivations, keepOutputs };
    return { ...this.#core, ...keeps, ignoreLiveness };
  }

  /** See {@link KeepingStore.queryDerivationOutputs}. Throws `STORE_PATH_NOT_VALID`. */
  async queryDerivationOutputs(drvPath: StorePath): Promise<Map<string, StorePath | null>> {
    const { database, layout } = this.#core;
    if (!database.isValid(drvPath)) throw notValid(drvPath);
    return statedOutputPaths(readDerivation(layout, drvPath));
  }

  registerRealisation(outputId: string, path: StorePath): Promise<void> {
    return registerRealisation(this.#core.database, this.#core.layout, outputId, path);
  }

  async queryRealisation(outputId: string): Promise<StorePath | null> {
    return queryRealisation(this.#core.database, outputId);
  }

  /** Compares the database with the disk, and with `checkContents` the hash of every path. */
  verify(options: { readonly checkContents: boolean }, signal?: AbortSignal): Promise<VerifyReport> {
    return verifyStore(this.#core, options, signal);
  }

  /** All valid paths, sorted. */
  async queryAllValidPaths(): Promise<StorePath[]> {
    return this.#core.database.allValidPaths().sort();
  }

  /** Valid paths that refer to this one. */
  async queryReferrers(path: StorePath): Promise<StorePath[]> {
    return this.#core.database.referrersOf(path).sort();
  }

  /** Valid derivations with this path as an output. */
  async queryValidDerivers(path: StorePath): Promise<StorePath[]> {
    return this.#core.database.validDeriversOf(path).sort();
  }

  /** The valid path with this hash part, null when there is none. */
  async queryPathFromHashPart(hashPart: string): Promise<StorePath | null> {
    return this.#core.database.pathFromHashPart(hashPart);
  }

  /** The closure of the valid ones of these paths. */
  async queryClosure(paths: Iterable<StorePath>): Promise<Set<StorePath>> {
    return this.#core.database.closureOf(paths);
  }

  /** Operations in progress reject with `reason`, and no builder survives. */
  async close(reason?: EngineError): Promise<void> {
    this.#closing.abort(reason ?? new EngineError("store", "STORE_CLOSED", `${this.uri} was closed`));
    await Promise.allSettled(this.#builds);
    await this.#close();
  }

  /** Runs an operation until it ends, or the caller or the store aborts it. */
  async #while<T>(signal: AbortSignal | undefined, work: (until: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    return unlessAborted(work(until), closing, () => undefined);
  }
}

function notValid(path: StorePath): EngineError {
  return new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not valid`);
}
