// What the engine needs from a store, as small capabilities; a binary cache has no BuildStore, and the type says so.

import { EngineError } from "../base/errors.ts";
import type { BuildResult } from "../derivation/build-result.ts";
import type { BasicDerivation } from "../derivation/derivation.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { BuildReporter } from "../protocols/build-log.ts";
import type { NarStream } from "./nar-stream.ts";

export type { BuildReporter } from "../protocols/build-log.ts";

/** Describes the store that answered. */
export interface StoreDescription {
  /** As shown to the user. */
  readonly uri: string;
  readonly nixVersion: string | null;
  /** `worker 1.38`, `serve 2.7`, `embedded`, `binary cache`. */
  readonly protocol: string;
  /** Whether it accepts unsigned paths from us; null when it does not say. */
  readonly trusted: boolean | null;
}

/** Reads valid paths; every store has this. */
export interface PathStore {
  readonly uri: string;
  /** Connects if necessary and describes the store. Throws EngineError of family `transport` or `protocol`. */
  describe(signal?: AbortSignal): Promise<StoreDescription>;
  /** Which of the paths are valid. */
  queryValidPaths(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>>;
  /** Information on the valid ones of the paths. */
  queryPathInfos(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>>;
  /**
   * The NAR of a valid path as a stream. `sizeHint` (bytes) lets a store choose a connection, so that a big transfer does not delay small ones.
   * Breaking off the iteration drops the connection behind it.
   */
  narFromPath(path: StorePath, sizeHint: bigint, signal?: AbortSignal): NarStream;
  /** Whether the NARs of `narFromPath` are checked on their way. */
  readonly checksNars: boolean;
  /** Ends every connection; operations in progress reject with `reason`. */
  close(reason?: EngineError): Promise<void>;
}

/** One path on its way into a store. `nar` yields exactly the NAR and is iterated at most once. */
export interface IncomingPath {
  readonly info: PathInfo;
  readonly nar: () => NarStream;
  /** Whether `nar` is checked on its way. */
  readonly isChecked: boolean;
}

/** How to add paths. */
export interface AddOptions {
  /** False needs trust. */
  readonly checkSignatures: boolean;
  /** The number of paths. */
  readonly count: number;
  /** A long transfer: it must not share a connection with small ones. */
  readonly large: boolean;
}

/** After some of the paths may have been added, a failure that does not happen again when the rest is retried. */
export class AddAgainError extends EngineError {
  /** Those of the paths that are now valid. */
  readonly valid: ReadonlySet<StorePath>;

  constructor(uri: string, valid: ReadonlySet<StorePath>, cause: Error) {
    super("store", "STORE_ADD_AGAIN", `${uri}: ${cause.message}`, { cause });
    this.valid = valid;
  }
}

/** Accepts paths. */
export interface PathSink {
  /**
   * Adds paths whose references are already valid or come earlier in `paths`; skips nothing, so call queryValidPaths first.
   * Registers a path only if its NAR hash and size are right. `checkSignatures` false needs trust.
   * Throws {@link AddAgainError} when the caller should retry the rest, as `addAll` and `copyPaths` do.
   */
  addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    options: AddOptions,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Adds signatures to a valid path. */
  addSignatures(path: StorePath, signatures: readonly string[]): Promise<void>;
}

/** What a store would have to do to make targets valid (Nix: QueryMissing). */
export interface Missing {
  readonly willBuild: ReadonlySet<StorePath>;
  readonly willSubstitute: ReadonlySet<StorePath>;
  readonly unknown: ReadonlySet<StorePath>;
  readonly downloadSize: bigint;
  readonly narSize: bigint;
}

/** `drv^out1,out2`, `drv^*`, or a plain path. */
export type DerivedPath =
  | { readonly type: "opaque"; readonly path: StorePath }
  | { readonly type: "built"; readonly drvPath: StorePath; readonly outputs: "all" | readonly string[] };

/** Fetches from its own substituters. */
export interface SubstitutingStore {
  queryMissing(targets: readonly DerivedPath[], signal?: AbortSignal): Promise<Missing>;
  /** Which of the paths its substituters have. */
  querySubstitutable(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>>;
  /**
   * Makes the path valid by substitution; throws when no substituter has it. `copying` receives each path that is fetched, and its source, if
   * the store reports them.
   */
  ensurePath(
    path: StorePath,
    report: (progress: TransferProgress) => void,
    signal?: AbortSignal,
    copying?: (path: StorePath, from: string) => void,
  ): Promise<void>;
}

/** Bytes of one transfer so far. */
export interface TransferProgress {
  readonly doneBytes: bigint;
  readonly expectedBytes: bigint;
}

export type BuildMode = "normal" | "repair" | "check";

/** Limits and options sent with each build; null keeps the store's own. */
export interface BuildOptions {
  readonly keepFailed: boolean;
  /** Seconds, 0 none. */
  readonly maxSilentTime: number;
  /** Seconds, 0 none. */
  readonly timeout: number;
  /** Bytes, 0n none. */
  readonly maxLogSize: bigint;
  /** `cores`: NIX_BUILD_CORES, 0 all of the machine, null the machine's own setting. */
  readonly cores: number | null;
  /** Whether to keep a differing result as `.check`. */
  readonly keepCheck: boolean;
}

export interface BuildRequest {
  readonly drvPath: StorePath;
  readonly derivation: BasicDerivation;
  readonly mode: BuildMode;
  readonly options: BuildOptions;
}

/** A finished build with the infos needed to fetch its outputs, which exist exactly when the build succeeded. */
export interface BuildAnswer {
  readonly result: BuildResult;
  /** Output name → info of its valid path; empty unless the build succeeded. */
  readonly outputs: ReadonlyMap<string, PathInfo>;
}

/** Runs builders. */
export interface BuildStore {
  /**
   * Builds one derivation whose inputs are valid there. Never call it twice at once for one derivation on one store: the second call would poll
   * for the lock. Aborting the signal kills the builder there and rejects with the signal's reason.
   * @throws EngineError of family `transport` or `protocol` when the connection, not the build, failed.
   */
  build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer>;
  /**
   * Builds through the `.drv` closure that is valid there, which an untrusted account may do too (Nix, daemon.cc: BuildDerivation needs trust,
   * BuildPaths does not).
   */
  buildFromClosure(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer>;
  /** Opens connections for builds in advance, so that the first build does not wait; never more than `count`. */
  warmUp(count: number, signal?: AbortSignal): Promise<void>;
}

/** Roots, logs and maintenance: what the store that keeps the results must offer. */
export interface KeepingStore {
  /** Keeps paths alive while this store stays open. */
  addTempRoots(paths: readonly StorePath[]): Promise<void>;
  /** Makes the symlink at `link` (an absolute path outside the store, pointing into it) a root of the garbage collector. */
  addIndirectRoot(link: string): Promise<void>;
  /** Stores a build log where `nix log` finds it. May be refused without trust. */
  addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void>;
  /**
   * Deletes paths; rejects with `STORE_PATH_ALIVE` for those still alive; returns the bytes freed. With `ignoreLiveness`, this program's own roots
   * do not count, as far as the store supports that.
   */
  deletePaths(paths: readonly StorePath[], ignoreLiveness?: boolean): Promise<bigint>;
  /** Output name → path of a valid derivation, null while unknown. */
  queryDerivationOutputs(drvPath: StorePath): Promise<Map<string, StorePath | null>>;
  /** Records the path of a content-addressed output. `outputId` is `sha256:<hex>!<name>`. */
  registerRealisation(outputId: string, path: StorePath): Promise<void>;
  queryRealisation(outputId: string): Promise<StorePath | null>;
}

/** Reports whether the other side is still there. */
export interface LiveStore {
  /** Sends a cheap query on a connection that transfers nothing; rejects when no answer came before the signal. */
  ping(signal: AbortSignal): Promise<void>;
  /** Like `heard` of the transports: bytes received from the other side over all connections; null when unknown. */
  heard(): number | null;
  /**
   * Which of the paths are valid; keeps those alive there while this store stays open (a temporary root of its garbage collector).
   */
  lockValidPaths(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>>;
}

/** A machine's store: inputs go in, builds run, outputs come out. */
export type MachineStore = PathStore & PathSink & SubstitutingStore & BuildStore & LiveStore;

/** The store that results end up in. */
export type DestinationStore = MachineStore & KeepingStore;
