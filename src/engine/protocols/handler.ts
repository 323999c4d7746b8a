// What the servers of both protocols ask of a store: the port a store is adapted to in order to be served.

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

/** Limits of a build, as far as a protocol carries them with each build; null leaves what SetOptions or the store's own settings say. */
export interface ServedBuildLimits {
  readonly maxSilentTime: number;
  readonly timeout: number;
  readonly maxLogSize: bigint;
  readonly keepFailed: boolean;
}

/** One operation under way for a client. */
export interface ServedCall {
  /** Aborted when the client has hung up; what runs for it must stop. */
  readonly signal: AbortSignal;
  /** Whether the client may do what is reserved for trusted users. */
  readonly trusted: boolean;
  /** Options the client has set for its connection, null when it has set none. Overrides it may not make are left out already. */
  readonly options: ClientOptions | null;
  /** Sends a message of the store to the client. Lines without end. */
  notice(message: string): void;
  /** The listener for the build of a derivation; its log reaches the client while the operation runs. */
  building(drvPath: StorePath): BuildReporter;
}

/** How a served build ended. */
export interface ServedBuild {
  readonly result: BuildResult;
  /** Hash modulo of the derivation in 64 hex digits, which names its outputs; null when not computed (input-addressed ones need none). */
  readonly derivationHash: string | null;
}

/** Contents to be added by AddToStore: a flat file or text, or a NAR where the method is `r:…`. */
export interface ServedContents {
  readonly name: string;
  /** `text:sha256`, `fixed:sha256`, `fixed:r:sha256`, … */
  readonly method: string;
  readonly references: readonly StorePath[];
}

/**
 * A store as the servers see it. Every method rejects with an Error whose message the client is shown; `notServed` makes one for what a store
 * does not offer. Streams handed in end exactly where the contents do and need not be read to their end.
 */
export interface StoreHandler {
  isValidPath(path: StorePath, call: ServedCall): Promise<boolean>;
  /** Which of the paths are valid, after fetching missing ones where `substitute` is set and possible. */
  queryValidPaths(paths: readonly StorePath[], substitute: boolean, call: ServedCall): Promise<Iterable<StorePath>>;
  queryPathInfo(path: StorePath, call: ServedCall): Promise<PathInfo | null>;
  queryAllValidPaths(call: ServedCall): Promise<Iterable<StorePath>>;
  queryReferrers(path: StorePath, call: ServedCall): Promise<Iterable<StorePath>>;
  /** Valid derivations that have the path as an output. */
  queryValidDerivers(path: StorePath, call: ServedCall): Promise<Iterable<StorePath>>;
  queryPathFromHashPart(hashPart: string, call: ServedCall): Promise<StorePath | null>;
  querySubstitutablePaths(paths: readonly StorePath[], call: ServedCall): Promise<Iterable<StorePath>>;
  queryMissing(targets: readonly DerivedPath[], call: ServedCall): Promise<MissingPaths>;
  queryDerivationOutputs(drvPath: StorePath, call: ServedCall): Promise<ReadonlyMap<string, StorePath | null>>;
  queryRealisation(id: string, call: ServedCall): Promise<StorePath | null>;
  registerRealisation(realisation: Realisation, call: ServedCall): Promise<void>;
  /** The NAR of a valid path. Rejects before the first chunk when it is not valid: afterwards nothing can be said in band. */
  narFromPath(path: StorePath, call: ServedCall): Promise<AsyncIterable<Uint8Array>>;
  /** Adds a path whose references are valid, after checking hash, size, and signatures where asked for. */
  addToStoreNar(request: NarRequest, nar: AsyncIterable<Uint8Array>, call: ServedCall): Promise<void>;
  addToStore(request: ServedContents, contents: AsyncIterable<Uint8Array>, call: ServedCall): Promise<PathInfo>;
  addSignatures(path: StorePath, signatures: readonly string[], call: ServedCall): Promise<void>;
  /** Keeps the log of a derivation, given its path. */
  addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>, call: ServedCall): Promise<void>;
  /** Builds one derivation; its failure is a result. */
  buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<ServedBuild>;
  /** Makes targets valid; one answer a target, in order. */
  buildPaths(
    targets: readonly DerivedPath[],
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<readonly ServedBuild[]>;
  ensurePath(path: StorePath, call: ServedCall): Promise<void>;
  /** Keeps a path, valid or not, as long as this handler's client is connected. */
  addTempRoot(path: StorePath, call: ServedCall): Promise<void>;
  addIndirectRoot(link: string, call: ServedCall): Promise<void>;
  /** Makes a link to the path and a root of it; resolves with the link. */
  addPermRoot(path: StorePath, link: string, call: ServedCall): Promise<string>;
  /** Link → path. */
  findRoots(call: ServedCall): Promise<ReadonlyMap<string, StorePath>>;
  collectGarbage(request: GcRequest, call: ServedCall): Promise<GcResult>;
  optimiseStore(call: ServedCall): Promise<void>;
  /** True when errors were found that remain. */
  verifyStore(checkContents: boolean, repair: boolean, call: ServedCall): Promise<boolean>;
}

/** An error for an operation a store does not offer. */
export function notServed(operation: string): EngineError {
  return new EngineError("store", "STORE_NOT_SERVED", `operation '${operation}' is not supported by this store`);
}
