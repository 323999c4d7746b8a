// A store behind the worker protocol: a Nix daemon on this machine or over SSH, or another tsbuild-top.
import type { Clock } from "../../base/clock.ts";
import type { EngineError } from "../../base/errors.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import type { LogListener } from "../../protocols/log-frame.ts";
import { isRemoteError } from "../../protocols/remote-error.ts";
import { WorkerConnection } from "../../protocols/worker/client.ts";
import type { ClientOptions, GcRequest, GcResult } from "../../protocols/worker/codec.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import {
  AddAgainError,
  type AddOptions,
  type BuildAnswer,
  type BuildReporter,
  type BuildRequest,
  type DerivedPath,
  type DestinationStore,
  type IncomingPath,
  type Missing,
  type StoreDescription,
  type TransferProgress,
} from "../store.ts";
import { type BuildMachine, buildFromClosure, buildOne } from "./build.ts";
import { Connections, collect, streamWithLease, withLease, withSignal } from "./connections.ts";
import { deletePaths, isAlive } from "./delete-paths.ts";
import { hearProgress } from "./hear-progress.ts";
import { RootKeeper } from "./root-keeper.ts";
import { SubstituteReasons } from "./substitute-failure.ts";
import { probeTrust } from "./trust.ts";

/** Paths up to this size (bytes) are fetched on the shared connection, whole. */
const SMALL_PATH = 1n << 20n;
/** A path that cannot exist, for a cheap query. */
const NOBODY = `${STORE_DIR}/${"0".repeat(32)}-ping` as StorePath;

export interface WorkerStoreOptions {
  readonly uri: string;
  readonly opener: TransportOpener;
  readonly clock: Clock;
  readonly maxBuilds: number;
  /** Turns a failure to open into the error for the user. */
  readonly explain: (error: unknown) => Promise<unknown>;
  /** Sent first on connections that do not build. */
  readonly queryOptions: ClientOptions;
  /** The machine's own `cores`, queried when the first build connection is opened; null when unknown. */
  readonly machineCores: () => Promise<number | null>;
  /** Settings for every build there, besides those of its request. */
  readonly buildOverrides: ReadonlyMap<string, string>;
  /** A faster way to the NAR of a valid path than through the connection, if there is one. */
  readonly readDirectly: DirectReader | null;
}

/** Returns the NAR, or null when it must come through the connection after all. */
export type DirectReader = (path: StorePath, signal?: AbortSignal) => AsyncIterable<Uint8Array> | null;

/** The store. Opens connections as needed and keeps them until it is closed. */
export class WorkerStore implements DestinationStore {
  readonly uri: string;
  readonly checksNars = false;
  readonly #opener: TransportOpener;
  readonly #connections: Connections<WorkerConnection>;
  readonly #machineCores: () => Promise<number | null>;
  readonly #buildOverrides: ReadonlyMap<string, string>;
  readonly #readDirectly: DirectReader | null;
  /** Valid paths to keep alive: temporary roots end with the connection that holds them, and the next shared one takes them over. */
  readonly #rooted = new Set<StorePath>();
  readonly #keeper: RootKeeper;
  #addsOneByOne = false;
  #description: Promise<StoreDescription> | null = null;

  constructor(options: WorkerStoreOptions) {
    this.uri = options.uri;
    this.#opener = options.opener;
    this.#connections = new Connections({
      peer: options.uri,
      clock: options.clock,
      maxBuilds: options.maxBuilds,
      open: (use, signal) => openConnection(options, use, signal),
      prepareShared: async (connection) => {
        if (this.#rooted.size > 0) await connection.addTempRoots(this.#rooted);
      },
      onClose: () => options.opener.close(),
    });
    this.#keeper = new RootKeeper(() => this.#connections.fresh());
    this.#machineCores = options.machineCores;
    this.#buildOverrides = options.buildOverrides;
    this.#readDirectly = options.readDirectly;
  }

  describe(signal?: AbortSignal): Promise<StoreDescription> {
    if (this.#description === null) {
      const description = this.#describe();
      this.#description = description;
      description.catch(() => {
        this.#description = null;
      });
    }
    return withSignal(this.#description, signal);
  }

  async #describe(): Promise<StoreDescription> {
    const connection = await this.#connections.shared();
    return {
      uri: this.uri,
      nixVersion: connection.nixVersion,
      protocol: `worker 1.${connection.minor}`,
      trusted: connection.trusted ?? (await probeTrust(connection)),
    };
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#connections.ask((connection) => connection.isValidPath(NOBODY), signal);
  }

  // ---- reading ----

  async queryValidPaths(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>> {
    const list = [...paths];
    if (list.length === 0) return new Set();
    return new Set(await this.#connections.ask((connection) => connection.queryValidPaths(list, false), signal));
  }

  async lockValidPaths(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>> {
    if (paths.length === 0) return new Set();
    const ask = async (connection: WorkerConnection): Promise<StorePath[]> => {
      // The roots come first: a path that is valid afterwards can no longer be collected.
      const rooted = connection.addTempRoots(paths);
      const [valid] = await Promise.all([connection.queryValidPaths(paths, false), rooted]);
      return valid;
    };
    const valid = new Set(await this.#connections.ask(ask, signal));
    for (const path of valid) this.#rooted.add(path);
    return valid;
  }

  async queryPathInfos(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> {
    const list = [...paths];
    if (list.length === 0) return new Map();
    return this.#connections.ask((connection) => connection.queryPathInfos(list), signal);
  }

  async *narFromPath(
    path: StorePath,
    sizeHint: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const direct = this.#readDirectly === null ? null : this.#readDirectly(path, signal);
    if (direct !== null) {
      yield* direct;
      return;
    }
    if (sizeHint <= SMALL_PATH) {
      yield* await this.#connections.ask((connection) => collect(connection.narFromPath(path)), signal);
      return;
    }
    const lease = await this.#connections.transfer(true, signal);
    yield* streamWithLease(lease, signal, (connection) => connection.narFromPath(path));
  }

  // ---- writing ----

  async addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    options: AddOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    const { checkSignatures } = options;
    await this.#transfer(options.large, signal, async (connection) => {
      if (connection.canAddMultiple && options.count > 1 && !this.#addsOneByOne) {
        await this.#addTogether(connection, paths, options);
        return;
      }
      // Sent back to back; the daemon processes them in order. The first failure counts.
      const added: Promise<void>[] = [];
      let failed = false;
      for await (const { info, nar } of paths) {
        const adding = connection.addToStoreNar({ info, repair: false, checkSignatures }, nar());
        adding.catch(() => {
          failed = true;
        });
        added.push(adding);
        if (failed) break;
        if (added.length % PIPELINED === 0) await added[added.length - PIPELINED];
      }
      await Promise.all(added);
    });
  }

  async #addTogether(
    connection: WorkerConnection,
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    { count, checkSignatures }: AddOptions,
  ): Promise<void> {
    const sent: StorePath[] = [];
    async function* noted(): AsyncGenerator<IncomingPath, void, undefined> {
      for await (const path of paths) {
        sent.push(path.info.path);
        yield path;
      }
    }
    try {
      await connection.addMultipleToStore(count, noted(), { repair: false, checkSignatures });
    } catch (error) {
      if (connection.skipsValid || !isRemoteError(error)) throw error;
      // Another process may have added one of them meanwhile. Adding them one by one then succeeds, or shows which one is bad.
      this.#addsOneByOne = true;
      throw new AddAgainError(this.uri, new Set(await connection.queryValidPaths(sent, false)), error);
    }
  }

  async addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    await this.#connections.ask((connection) => connection.addSignatures(path, signatures));
  }

  // ---- substituting ----

  async queryMissing(targets: readonly DerivedPath[], signal?: AbortSignal): Promise<Missing> {
    const missing = await this.#connections.ask((connection) => connection.queryMissing(targets), signal);
    return {
      willBuild: new Set(missing.willBuild),
      willSubstitute: new Set(missing.willSubstitute),
      unknown: new Set(missing.unknown),
      downloadSize: missing.downloadSize,
      narSize: missing.narSize,
    };
  }

  async querySubstitutable(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>> {
    if (paths.length === 0) return new Set();
    return new Set(await this.#connections.ask((connection) => connection.querySubstitutablePaths(paths), signal));
  }

  async ensurePath(
    path: StorePath,
    report: (progress: TransferProgress) => void,
    signal?: AbortSignal,
    copying: (path: StorePath, from: string) => void = () => undefined,
  ): Promise<void> {
    const reasons = new SubstituteReasons();
    const progress = hearProgress(report, copying);
    const hear: LogListener = (frames) => {
      reasons.hear(frames);
      progress(frames);
    };
    try {
      await this.#transfer(true, signal, (connection) => connection.ensurePath(path, hear));
    } catch (error) {
      throw reasons.explain(path, error);
    }
  }

  /** All valid paths, in no particular order. */
  queryAllValidPaths(): Promise<StorePath[]> {
    return this.#connections.ask((connection) => connection.queryAllValidPaths());
  }

  // ---- building ----

  async build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.#build(signal, async (connection) =>
      buildOne(connection, request, report, await this.#machine(request)),
    );
  }

  async buildFromClosure(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.#build(signal, async (connection) =>
      buildFromClosure(connection, request, report, await this.#machine(request)),
    );
  }

  warmUp(count: number): Promise<void> {
    return this.#connections.builds.warmUp(count);
  }

  async #machine(request: BuildRequest): Promise<BuildMachine> {
    return { cores: request.options.cores ?? (await this.#machineCores()) ?? 0, overrides: this.#buildOverrides };
  }

  async #build(
    signal: AbortSignal,
    work: (connection: WorkerConnection) => Promise<BuildAnswer>,
  ): Promise<BuildAnswer> {
    const lease = await this.#connections.builds.acquire(signal);
    return withLease(lease, signal, isRemoteError, work);
  }

  // ---- keeping ----

  addTempRoots(paths: readonly StorePath[]): Promise<void> {
    return this.#keeper.add(paths);
  }

  async addIndirectRoot(link: string): Promise<void> {
    await this.#connections.ask((connection) => connection.addIndirectRoot(link));
  }

  async addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#connections.ask((connection) => connection.addBuildLog(drvPath, log));
  }

  async deletePaths(paths: readonly StorePath[], ignoreLiveness = false): Promise<bigint> {
    // Our own connections hold temporary roots, so close them first. The next one takes over those still wanted.
    for (const path of paths) this.#rooted.delete(path);
    this.#keeper.forget(paths);
    await this.#connections.dropUnused();
    const remove = (): Promise<bigint> => deletePaths(() => this.#connections.fresh(), paths, ignoreLiveness);
    try {
      return await remove();
    } catch (error) {
      if (!ignoreLiveness || !isAlive(error) || !this.#keeper.isUsed) throw error;
      // If outputs live as long as their derivations (`keep-outputs`), the derivations must be released for a moment, too.
      return await this.#keeper.without(remove);
    } finally {
      if (this.#rooted.size > 0) await this.#connections.shared().catch(() => undefined);
    }
  }

  /** Runs that store's garbage collector; `notice` receives its messages. Aborting the signal ends it there. */
  async collectGarbage(request: GcRequest, notice: (message: string) => void, signal: AbortSignal): Promise<GcResult> {
    await this.#connections.dropUnused();
    const connection = await this.#connections.fresh(signal);
    const stop = (): void => connection.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await connection.collectGarbage(request, (frames) => {
        for (const frame of frames) if (frame.type === "next") notice(frame.text.trimEnd());
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      connection.close();
    }
  }

  /** Link → path of everything that keeps paths alive there; links that an untrusted account may not see are `{censored}`. */
  findRoots(): Promise<Map<string, StorePath>> {
    return this.#connections.ask((connection) => connection.findRoots());
  }

  queryDerivationOutputs(drvPath: StorePath): Promise<Map<string, StorePath | null>> {
    return this.#connections.ask((connection) => connection.queryDerivationOutputMap(drvPath));
  }

  registerRealisation(outputId: string, path: StorePath): Promise<void> {
    return this.#connections.ask((connection) => connection.registerDrvOutput({ id: outputId, path, signatures: [] }));
  }

  queryRealisation(outputId: string): Promise<StorePath | null> {
    return this.#connections.ask((connection) => connection.queryRealisation(outputId));
  }

  heard(): number | null {
    return this.#opener.heard();
  }

  async close(reason?: EngineError): Promise<void> {
    await this.#keeper.close();
    await this.#connections.close(reason);
  }

  async #transfer(
    large: boolean,
    signal: AbortSignal | undefined,
    work: (connection: WorkerConnection) => Promise<void>,
  ): Promise<void> {
    const lease = await this.#connections.transfer(large, signal);
    // After a refusal among several uploads, the rest of them may still be in progress: the connection is not kept.
    await withLease(lease, signal, () => false, work);
  }
}

async function openConnection(
  options: WorkerStoreOptions,
  use: "build" | "query",
  signal: AbortSignal | undefined,
): Promise<WorkerConnection> {
  const { opener, uri, clock, explain } = options;
  try {
    const transport = await opener.open(signal);
    const connection = await WorkerConnection.open(transport, { peer: uri, clock, signal });
    // Nobody waits for the empty answer; a build sends its own options with its first request.
    if (use === "query") connection.setOptions(options.queryOptions).catch(() => undefined);
    return connection;
  } catch (error) {
    signal?.throwIfAborted();
    throw await explain(error);
  }
}

/** Maximum number of unanswered uploads. */
const PIPELINED = 64;
