// What the servers of both protocols need from a store: the port that a store implements in order to be served.

import { EngineError } from "../base/errors.ts";
import type { BuildResult } from "../derivation/build-result.ts";
import type { BasicDerivation } from "../derivation/derivation.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { BuildReporter } from "./build-log.ts";
import type { DerivedPath } from "./values/derived-path.ts";
import type { Realisation } from "./values/realisation.ts";
import type { BuildMode, ClientOptions, GcRequest, GcResult, NarRequest } from "./worker/codec.ts";
import type { MissingPaths } from "./worker/queries.ts";

/** Limits of a build, as far as a protocol sends them with each build; null keeps those of SetOptions or of the store's own settings. */
export interface ServedBuildLimits {
  readonly maxSilentTime: number;
  readonly timeout: number;
  readonly maxLogSize: bigint;
  readonly keepFailed: boolean;
}

/** One operation in progress for a client. */
export interface ServedCall {
  /** Aborted when the client has hung up; the operation must then stop its work. */
  readonly signal: AbortSignal;
  /** Whether the client may use operations reserved for trusted users. */
  readonly trusted: boolean;
  /** Options the client has set for its connection, null if it has set none. Overrides that it may not set are already removed. */
  readonly options: ClientOptions | null;
  /** Sends a message of the store to the client. Lines without line ends. */
  notice(message: string): void;
  /** The reporter for the build of a derivation; its log reaches the client while the operation runs. */
  building(drvPath: StorePath): BuildReporter;
}

/** How a served build ended. */
export interface ServedBuild {
  readonly result: BuildResult;
  /** Hash modulo of the derivation in 64 hex digits, for the output ids; null when not computed (input-addressed outputs need none). */
  readonly derivationHash: string | null;
}

/** Contents that AddToStore adds: a flat file or text, or a NAR when the method is `r:…`. */
export interface ServedContents {
  readonly name: string;
  /** `text:sha256`, `fixed:sha256`, `fixed:r:sha256`, … */
  readonly method: string;
  readonly references: readonly StorePath[];
}

/**
 * A store as the servers see it. Every method rejects with an Error whose message is shown to the client; `notServed` makes one for operations
 * that a store does not offer. Streams passed in end exactly where the contents do and need not be read to the end.
 */
export interface StoreHandler {
  isValidPath(path: StorePath, call: ServedCall): Promise<boolean>;
  /** Which of the paths are valid, after fetching missing ones if `substitute` is set and possible. */
  queryValidPaths(paths: readonly StorePath[], substitute: boolean, call: ServedCall): Promise<Iterable<StorePath>>;
  queryPathInfo(path: StorePath, call: ServedCall): Promise<PathInfo | null>;
  queryAllValidPaths(call: ServedCall): Promise<Iterable<StorePath>>;
  queryReferrers(path: StorePath, call: ServedCall): Promise<Iterable<StorePath>>;
  /** Valid derivations with the path as an output. */
  queryValidDerivers(path: StorePath, call: ServedCall): Promise<Iterable<StorePath>>;
  queryPathFromHashPart(hashPart: string, call: ServedCall): Promise<StorePath | null>;
  querySubstitutablePaths(paths: readonly StorePath[], call: ServedCall): Promise<Iterable<StorePath>>;
  queryMissing(targets: readonly DerivedPath[], call: ServedCall): Promise<MissingPaths>;
  queryDerivationOutputs(drvPath: StorePath, call: ServedCall): Promise<ReadonlyMap<string, StorePath | null>>;
  queryRealisation(id: string, call: ServedCall): Promise<StorePath | null>;
  registerRealisation(realisation: Realisation, call: ServedCall): Promise<void>;
  /** The NAR of a valid path. Rejects before the first chunk when it is not valid: after that, no error can be sent in band. */
  narFromPath(path: StorePath, call: ServedCall): Promise<AsyncIterable<Uint8Array>>;
  /** Adds a path whose references are valid, after checking hash, size, and signatures if requested. */
  addToStoreNar(request: NarRequest, nar: AsyncIterable<Uint8Array>, call: ServedCall): Promise<void>;
  addToStore(request: ServedContents, contents: AsyncIterable<Uint8Array>, call: ServedCall): Promise<PathInfo>;
  addSignatures(path: StorePath, signatures: readonly string[], call: ServedCall): Promise<void>;
  /** Stores the log of a derivation, given its path. */
  addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>, call: ServedCall): Promise<void>;
  /** Builds one derivation; its failure is a result. */
  buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<ServedBuild>;
  /** Makes targets valid; one answer per target, in order. */
  buildPaths(
    targets: readonly DerivedPath[],
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<readonly ServedBuild[]>;
  ensurePath(path: StorePath, call: ServedCall): Promise<void>;
  /** Keeps a path, valid or not, while this handler's client is connected. */
  addTempRoot(path: StorePath, call: ServedCall): Promise<void>;
  addIndirectRoot(link: string, call: ServedCall): Promise<void>;
  /** Makes a link to the path and registers it as a root; resolves with the link. */
  addPermRoot(path: StorePath, link: string, call: ServedCall): Promise<string>;
  /** Link → path. */
  findRoots(call: ServedCall): Promise<ReadonlyMap<string, StorePath>>;
  collectGarbage(request: GcRequest, call: ServedCall): Promise<GcResult>;
  optimiseStore(call: ServedCall): Promise<void>;
  /** True when errors remain. */
  verifyStore(checkContents: boolean, repair: boolean, call: ServedCall): Promise<boolean>;
}

/** An error for an operation a store does not offer. */
export function notServed(operation: string): EngineError {
  return new EngineError("store", "STORE_NOT_SERVED", `operation '${operation}' is not supported by this store`);
}
