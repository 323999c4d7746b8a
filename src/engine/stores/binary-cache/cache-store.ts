// A binary cache as a store: paths are narinfo files and compressed NARs under keys, in any kind of place.

import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import { hashBytes } from "../../formats/hash.ts";
import { MAX_NARINFO_LENGTH, type NarInfo, parseNarInfo, printNarInfo } from "../../formats/narinfo.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { SecretKey } from "../../formats/signature.ts";
import { hashPartOf, isStorePath, STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import { withSignal } from "../remote/connections.ts";
import type { AddOptions, IncomingPath, PathSink, PathStore, StoreDescription } from "../store.ts";
import { CacheWriter } from "./cache-writer.ts";
import type { DiskCache } from "./disk-cache.ts";
import {
  CACHE_INFO_KEY,
  type CacheInfo,
  CONTENT_TYPES,
  logKey,
  MAX_CACHE_INFO_BYTES,
  NEW_CACHE_INFO,
  narInfoKey,
  parseCacheInfo,
  printCacheInfo,
} from "./layout.ts";
import { type Compression, isCompression, unpack } from "./nars/compression.ts";
import { downloadNar, refusal } from "./nars/nar-download.ts";
import { mapLimited } from "./objects/limiter.ts";
import { readBytes } from "./objects/read-text.ts";
import { type GetPutPort, uploadOf } from "./port.ts";

/** How a cache is used. */
export interface CacheStoreOptions {
  readonly port: GetPutPort;
  readonly clock: Clock;
  /** Null keeps nothing on disk. */
  readonly diskCache: DiskCache | null;
  /** Maximum number of concurrent queries. */
  readonly parallel: number;
  /** How to compress NARs (`compression`, `compression-level`, `parallel-compression`). */
  readonly compression: Compression;
  readonly level: number | null;
  readonly parallelCompression: boolean;
  /** Keys that sign everything written (`secret-key`, `secret-keys`). */
  readonly secretKeys: readonly SecretKey[];
  /** Whether to write a listing beside each NAR (`write-nar-listing`). */
  readonly listings: boolean;
  /** Where large files wait for their upload, unless the port has a better place. */
  readonly temporaryDirectory: string;
}

/** Maximum size of a build log, in bytes. */
const MAX_LOG_BYTES = 256 * 1024 * 1024;

/** An open cache. Sends no request before it is needed. */
export class CacheStore implements PathStore, PathSink {
  readonly uri: string;
  readonly checksNars = true;
  readonly #options: CacheStoreOptions;
  readonly #writer: CacheWriter;
  readonly #known = new Map<StorePath, NarInfo>();
  readonly #asking = new Map<StorePath, Promise<NarInfo | null>>();
  #info: Promise<CacheInfo | null> | null = null;
  readonly #closing = new AbortController();

  constructor(options: CacheStoreOptions) {
    this.#options = options;
    this.uri = options.port.uri;
    const { port, compression, level, parallelCompression, secretKeys, listings, parallel } = options;
    const { temporaryDirectory } = options;
    this.#writer = new CacheWriter({
      port,
      compression,
      level,
      parallelCompression,
      secretKeys,
      listings,
      parallel,
      temporaryDirectory,
      spoolDirectory: port.spoolDirectory ?? temporaryDirectory,
      isThere: async (path, signal) => (await this.queryValidPaths([path], signal ?? undefined)).has(path),
      written: (narInfo) => this.#remember(narInfo),
    });
  }

  /** See {@link PathStore.describe}. Throws `CACHE_NOT_THERE` in Nix's words for a server without a cache. */
  async describe(signal?: AbortSignal): Promise<StoreDescription> {
    await this.demandCache(this.#until(signal));
    return { uri: this.uri, nixVersion: null, protocol: "binary cache", trusted: null };
  }

  /**
   * The cache's description of itself; null when nothing has been written there yet.
   * @throws EngineError `CACHE_OTHER_STORE_DIR`, or what the port throws
   */
  cacheInfo(signal: AbortSignal | null): Promise<CacheInfo | null> {
    if (this.#info === null) {
      // Others may come to wait for it, so one caller's signal must not abort it.
      const asking = this.#readCacheInfo(this.#closing.signal);
      this.#info = asking;
      asking.catch(() => {
        if (this.#info === asking) this.#info = null;
      });
    }
    return withSignal(this.#info, signal ?? undefined);
  }

  /** The cache's description of itself; a directory may still be empty. Throws `CACHE_NOT_THERE`, and like {@link CacheStore.cacheInfo}. */
  async demandCache(signal: AbortSignal | null): Promise<CacheInfo> {
    const info = await this.cacheInfo(signal);
    if (info !== null || !this.#options.port.remote) return info ?? NEW_CACHE_INFO;
    throw new EngineError("store", "CACHE_NOT_THERE", `'${this.uri}' does not appear to be a binary cache`, {
      hint: `expected '${this.uri}/${CACHE_INFO_KEY}': check the address and, where it is needed, who you say you are`,
    });
  }

  async #readCacheInfo(signal: AbortSignal | null): Promise<CacheInfo | null> {
    const { port, diskCache } = this.#options;
    const remembered = diskCache?.cacheInfo(this.uri) ?? null;
    if (remembered !== null) return remembered;
    const bytes = await port.getSmall(CACHE_INFO_KEY, MAX_CACHE_INFO_BYTES, signal);
    if (bytes === null) return null;
    const info = parseCacheInfo(textOfBytes(bytes), this.uri);
    diskCache?.rememberCacheInfo(this.uri, info);
    return info;
  }

  // ---- reading ----

  async queryValidPaths(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>> {
    const { port, parallel } = this.#options;
    const until = this.#until(signal);
    const valid = new Set<StorePath>();
    // Without a cache there is nothing to query.
    if ((await this.cacheInfo(until)) === null) return valid;
    await mapLimited(paths, parallel, async (path) => {
      if (this.#known.has(path) || (await port.has(narInfoKey(path), until))) valid.add(path);
    });
    return valid;
  }

  async queryPathInfos(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> {
    const until = this.#until(signal);
    const found = await mapLimited(paths, this.#options.parallel, (path) => this.narInfo(path, until));
    return new Map(found.flatMap((narInfo) => (narInfo === null ? [] : [[narInfo.info.path, narInfo.info]])));
  }

  /**
   * The cache's narinfo of a path, null when it has none.
   * @throws EngineError `CACHE_NARINFO_BAD`, `CACHE_NARINFO_OTHER_PATH`, or what the port throws
   */
  narInfo(path: StorePath, signal: AbortSignal | null): Promise<NarInfo | null> {
    const known = this.#known.get(path);
    if (known !== undefined) return Promise.resolve(known);
    const running = this.#asking.get(path);
    if (running !== undefined) return withSignal(running, signal ?? undefined);
    const asking = this.#ask(path, this.#closing.signal).finally(() => this.#asking.delete(path));
    this.#asking.set(path, asking);
    return withSignal(asking, signal ?? undefined);
  }

  /** The narinfo of a path if already known, without a request. */
  knownNarInfo(path: StorePath): NarInfo | null {
    return this.#known.get(path) ?? null;
  }

  async #ask(path: StorePath, signal: AbortSignal | null): Promise<NarInfo | null> {
    const { port, diskCache } = this.#options;
    const hashPart = hashPartOf(path);
    const remembered = diskCache?.lookup(this.uri, hashPart) ?? { type: "unknown" };
    if (remembered.type === "missing") return null;
    if (remembered.type === "found") {
      const narInfo = this.#parse(path, remembered.narInfo);
      this.#known.set(path, narInfo);
      return narInfo;
    }
    const bytes = await port.getSmall(narInfoKey(path), MAX_NARINFO_LENGTH, signal);
    if (bytes === null) {
      diskCache?.remember(this.uri, hashPart, null);
      return null;
    }
    const text = textOfBytes(bytes);
    const narInfo = this.#parse(path, text);
    this.#remember(narInfo, text);
    return narInfo;
  }

  #parse(path: StorePath, text: string): NarInfo {
    const { port } = this.#options;
    let narInfo: NarInfo;
    try {
      narInfo = parseNarInfo(text, narInfoKey(path));
    } catch (error) {
      throw refusal(port, path, "CACHE_NARINFO_BAD", messageOf(error), error);
    }
    if (narInfo.info.path !== path) {
      throw refusal(port, path, "CACHE_NARINFO_OTHER_PATH", `its narinfo is that of '${narInfo.info.path}'`);
    }
    return narInfo;
  }

  #remember(narInfo: NarInfo, text = printNarInfo(narInfo)): void {
    const { path } = narInfo.info;
    this.#known.set(path, narInfo);
    this.#options.diskCache?.remember(this.uri, hashPartOf(path), text);
  }

  /** See {@link PathStore.narFromPath}. Throws what {@link downloadNar} throws, and `STORE_PATH_NOT_VALID`. */
  async *narFromPath(
    path: StorePath,
    _sizeHint: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, Uint8Array, undefined> {
    const until = this.#until(signal);
    const narInfo = await this.narInfo(path, until);
    if (narInfo === null) {
      throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not in binary cache '${this.uri}'`);
    }
    try {
      return yield* downloadNar(this.#options.port, narInfo, until);
    } catch (error) {
      this.#closing.signal.throwIfAborted();
      // The remembered narinfo may be outdated.
      if (signal?.aborted !== true && error instanceof EngineError && error.code.startsWith("CACHE_"))
        this.forget(path);
      throw error;
    }
  }

  /** Forgets everything known about a path. */
  forget(path: StorePath): void {
    this.#known.delete(path);
    this.#options.diskCache?.forget(this.uri, hashPartOf(path));
  }

  /**
   * All paths, if the place can list them (`file://`, `s3://`).
   * @throws EngineError `CACHE_NOT_LISTABLE`
   */
  async queryAllValidPaths(signal?: AbortSignal): Promise<StorePath[]> {
    const { port, parallel } = this.#options;
    const keys = await port.list(signal ?? null);
    if (keys === null) {
      throw new EngineError("store", "CACHE_NOT_LISTABLE", `binary cache '${this.uri}' cannot list its paths`, {
        hint: "name the paths, or use the cache by file:// or s3://",
      });
    }
    const hashParts: string[] = [];
    for await (const key of keys) {
      const hashPart = /^([0-9a-z]{32})\.narinfo$/.exec(key)?.[1];
      if (hashPart !== undefined) hashParts.push(hashPart);
    }
    const paths = await mapLimited(hashParts.sort(), parallel, async (hashPart) => {
      // Only the file contains the rest of the name.
      const bytes = await port.getSmall(`${hashPart}.narinfo`, MAX_NARINFO_LENGTH, signal ?? null);
      if (bytes === null) return [];
      const text = textOfBytes(bytes);
      const name = /^StorePath: (.*)$/m.exec(text)?.[1]?.trim() ?? "";
      if (!isStorePath(name) || !name.startsWith(`${STORE_DIR}/${hashPart}-`)) return [];
      this.#known.set(name, this.#parse(name, text));
      return [name];
    });
    return paths.flat();
  }

  /** The log of a build, null when the cache does not have it. */
  async readLog(drvPath: StorePath, signal: AbortSignal | null): Promise<Uint8Array | null> {
    const stream = await this.#options.port.get(logKey(drvPath), signal);
    if (stream === null) return null;
    const bytes = await readBytes(stream, MAX_LOG_BYTES, logKey(drvPath));
    const compression = bytes.subarray(0, 3).toString("latin1") === "BZh" ? "bzip2" : "none";
    return readBytes(unpack(onceOf(bytes), compression, bytes.length), MAX_LOG_BYTES, logKey(drvPath));
  }

  // ---- writing ----

  /** See {@link PathSink.addPaths}: several at a time, every narinfo after those of its references. Signatures are not checked, as in Nix. */
  async addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    _options: AddOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    const until = this.#until(signal);
    try {
      await this.#initialise(until);
      await this.#writer.add(paths, until);
    } catch (error) {
      this.#closing.signal.throwIfAborted();
      throw error;
    }
  }

  async addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    this.forget(path);
    const narInfo = await this.narInfo(path, null);
    if (narInfo === null) {
      throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not in binary cache '${this.uri}'`);
    }
    const all = [...new Set([...narInfo.info.signatures, ...signatures])];
    await this.#writer.writeNarInfo({ ...narInfo, info: { ...narInfo.info, signatures: all } }, null);
  }

  async addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    const bytes = await readBytes(log, MAX_LOG_BYTES, drvPath);
    const { digest } = hashBytes("sha256", bytes);
    await this.#options.port.put(logKey(drvPath), uploadOf(bytes, digest), CONTENT_TYPES.log, null);
  }

  /** Creates the cache if there is none. */
  async #initialise(signal: AbortSignal | null): Promise<void> {
    if ((await this.cacheInfo(signal)) !== null) return;
    const text = Buffer.from(printCacheInfo(NEW_CACHE_INFO));
    const { port, diskCache } = this.#options;
    await port.put(CACHE_INFO_KEY, uploadOf(text, hashBytes("sha256", text).digest), CONTENT_TYPES.cacheInfo, signal);
    this.#info = Promise.resolve(NEW_CACHE_INFO);
    diskCache?.rememberCacheInfo(this.uri, NEW_CACHE_INFO);
  }

  /** Aborts when the caller gives up or the store is closed. Throws the reason if the store is already closed. */
  #until(signal: AbortSignal | undefined): AbortSignal {
    this.#closing.signal.throwIfAborted();
    return signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
  }

  async close(reason?: EngineError): Promise<void> {
    this.#closing.abort(reason ?? new EngineError("store", "STORE_CLOSED", `${this.uri} was closed`));
    this.#options.port.close();
  }
}

/**
 * The compression for a cache's parameter; xz when it has none, as in Nix.
 * @throws EngineError `CACHE_COMPRESSION_UNKNOWN`
 */
export function writingCompression(word: string | null): Compression {
  const name = word ?? "xz";
  if (isCompression(name)) return name;
  throw new EngineError(
    "config",
    "CACHE_COMPRESSION_UNKNOWN",
    `compression: expected xz, zstd, gzip, br, bzip2 or none, found '${name}'`,
    {
      hint: "zstd is the fastest to read and to write",
    },
  );
}

function textOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

async function* onceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
