// Writes paths into a binary cache: several at a time, the NAR before the narinfo, every narinfo after those of its references.
import { availableParallelism } from "node:os";
import { EngineError } from "../../base/errors.ts";
import { createHasher, type Hasher, hashBytes, printHash } from "../../formats/hash.ts";
import { NarListing } from "../../formats/nar/listing.ts";
import { type NarInfo, printNarInfo } from "../../formats/narinfo.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { SecretKey } from "../../formats/signature.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { IncomingPath } from "../store.ts";
import { CONTENT_TYPES, listingKey, narInfoKey, narKey } from "./layout.ts";
import { type Compression, pack } from "./nars/compression.ts";
import { packSmall, SMALL } from "./nars/small-pack.ts";
import { Spool } from "./nars/spool.ts";
import { Limiter } from "./objects/limiter.ts";
import { type GetPutPort, type Upload, uploadOf } from "./port.ts";
import { signed } from "./sign.ts";

export interface CacheWriterOptions {
  readonly port: GetPutPort;
  readonly compression: Compression;
  readonly level: number | null;
  readonly parallelCompression: boolean;
  readonly secretKeys: readonly SecretKey[];
  /** Whether to write a listing beside each NAR. */
  readonly listings: boolean;
  /** Maximum number of concurrent paths. */
  readonly parallel: number;
  /** For NARs too large for memory. */
  readonly spoolDirectory: string;
  /** For the temporary files of programs. */
  readonly temporaryDirectory: string;
  /** Whether the cache already has a path. */
  readonly isThere: (path: StorePath, signal: AbortSignal | null) => Promise<boolean>;
  /** Called for every narinfo once it is stored. */
  readonly written: (narInfo: NarInfo) => void;
}

/** For a NAR file above this size (bytes), check whether it exists before sending it. */
const WORTH_ASKING = 1024 * 1024;

/** The writing side of one cache. */
export class CacheWriter {
  readonly #options: CacheWriterOptions;
  /** Paths being written, by any call: no path is written twice at once. */
  readonly #running = new Map<StorePath, Promise<void>>();
  readonly #packing: Limiter;

  constructor(options: CacheWriterOptions) {
    this.#options = options;
    // More concurrent compressors than cores only compete for memory.
    this.#packing = new Limiter(Math.max(2, availableParallelism()));
  }

  /** Writes paths, references first. Paths written before a failure stay, and are complete. */
  async add(paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>, signal: AbortSignal | null): Promise<void> {
    const places = new Limiter(this.#options.parallel);
    const inner = new AbortController();
    const both = signal === null ? inner.signal : AbortSignal.any([signal, inner.signal]);
    const mine = new Map<StorePath, Promise<void>>();
    let failure: { readonly error: unknown } | null = null;
    try {
      for await (const incoming of paths) {
        const release = await places.acquire();
        if (failure !== null) break;
        both.throwIfAborted();
        const { path } = incoming.info;
        const task = this.#once(incoming, mine, both).finally(release);
        task.catch((error: unknown) => {
          failure ??= { error };
          inner.abort(error);
        });
        mine.set(path, task);
      }
    } catch (error) {
      failure ??= { error };
      inner.abort(error);
    }
    await Promise.allSettled(mine.values());
    signal?.throwIfAborted();
    // Assigned in callbacks, which the compiler does not see.
    const found = failure as { readonly error: unknown } | null;
    if (found !== null) throw found.error;
  }

  /** Stores a narinfo. */
  async writeNarInfo(narInfo: NarInfo, signal: AbortSignal | null): Promise<void> {
    const text = Buffer.from(printNarInfo(narInfo));
    const upload = uploadOf(text, hashBytes("sha256", text).digest);
    await this.#options.port.put(narInfoKey(narInfo.info.path), upload, CONTENT_TYPES.narInfo, signal);
    this.#options.written(narInfo);
  }

  async #once(incoming: IncomingPath, mine: ReadonlyMap<StorePath, Promise<void>>, signal: AbortSignal): Promise<void> {
    const { path } = incoming.info;
    const running = this.#running.get(path);
    if (running !== undefined) {
      // Another call's failure does not count for this one: then we write it ourselves.
      const done = await running.then(
        () => true,
        () => false,
      );
      if (done) return;
    }
    const writing = this.#write(incoming, mine, signal);
    this.#running.set(path, writing);
    try {
      await writing;
    } finally {
      this.#running.delete(path);
    }
  }

  async #write(
    incoming: IncomingPath,
    mine: ReadonlyMap<StorePath, Promise<void>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { port, compression, secretKeys, spoolDirectory } = this.#options;
    const info = signed(incoming.info, secretKeys);
    const spool = new Spool(spoolDirectory, compression === "none" ? info.narHash : null);
    try {
      const listing = this.#options.listings ? new NarListing() : null;
      const upload = await this.#pack(incoming, spool, listing, signal);
      if (listing !== null) await this.#writeListing(info.path, listing.finish(), signal);
      const key = narKey(upload.sha256, compression);
      if (upload.size < WORTH_ASKING || !(await port.has(key, signal))) {
        await port.put(key, upload, CONTENT_TYPES.nar, signal);
      }
      await this.#awaitReferences(info, mine, signal);
      const fileHash = { algorithm: "sha256", digest: upload.sha256 } as const;
      await this.writeNarInfo({ info, url: key, compression, fileHash, fileSize: BigInt(upload.size) }, signal);
    } finally {
      await spool.discard();
    }
  }

  async #writeListing(path: StorePath, listing: string, signal: AbortSignal): Promise<void> {
    const text = Buffer.from(listing);
    const upload = uploadOf(text, hashBytes("sha256", text).digest);
    await this.#options.port.put(listingKey(path), upload, CONTENT_TYPES.listing, signal);
  }

  async #pack(incoming: IncomingPath, spool: Spool, listing: NarListing | null, signal: AbortSignal): Promise<Upload> {
    const { compression, level, parallelCompression, temporaryDirectory } = this.#options;
    const { info } = incoming;
    if (compression !== "bzip2" && info.narSize <= SMALL) {
      const nar = await readNar(incoming, signal);
      listing?.push(nar);
      const packed = await packSmall(nar, compression, level, temporaryDirectory);
      return uploadOf(packed, compression === "none" ? info.narHash : hashBytes("sha256", packed).digest);
    }
    const check = new NarCheck(info);
    const observed = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of incoming.nar()) {
        signal.throwIfAborted();
        check.take(chunk);
        listing?.push(chunk);
        yield chunk;
      }
    };
    const options = { compression, level, parallel: parallelCompression, sizeHint: Number(info.narSize) };
    return this.#packing.run(async () => {
      for await (const chunk of pack(observed(), options)) await spool.write(chunk);
      check.finish();
      return spool.finish();
    });
  }

  /** A narinfo must never name a path that the cache does not have. */
  async #awaitReferences(
    info: PathInfo,
    mine: ReadonlyMap<StorePath, Promise<void>>,
    signal: AbortSignal,
  ): Promise<void> {
    for (const reference of info.references) {
      if (reference === info.path) continue;
      const own = mine.get(reference);
      if (own !== undefined) {
        await own;
        continue;
      }
      await this.#running.get(reference)?.catch(() => undefined);
      if (await this.#options.isThere(reference, signal)) continue;
      throw new EngineError(
        "store",
        "CACHE_REFERENCE_MISSING",
        `cannot add '${info.path}' to the binary cache because the reference '${reference}' is not valid`,
        { hint: "copy the whole closure: leave out --no-recursive" },
      );
    }
  }
}

/** Reads a small NAR into memory. */
async function readNar(incoming: IncomingPath, signal: AbortSignal): Promise<Uint8Array> {
  const check = new NarCheck(incoming.info);
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming.nar()) {
    signal.throwIfAborted();
    check.take(chunk);
    chunks.push(chunk);
  }
  check.finish();
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}

/** A NAR may have been damaged in the store it comes from; a cache must not spread it. */
class NarCheck {
  readonly #info: PathInfo;
  readonly #hasher: Hasher = createHasher("sha256");
  #size = 0n;

  constructor(info: PathInfo) {
    this.#info = info;
  }

  take(chunk: Uint8Array): void {
    this.#hasher.update(chunk);
    this.#size += BigInt(chunk.length);
    if (this.#size > this.#info.narSize) this.finish();
  }

  /** Throws `STORE_HASH_MISMATCH` when the NAR does not match its info. */
  finish(): void {
    const { path, narHash, narSize } = this.#info;
    const digest = this.#hasher.digest();
    if (Buffer.compare(digest, narHash) === 0 && this.#size === narSize) return;
    const show = (bytes: Uint8Array): string => printHash({ algorithm: "sha256", digest: bytes }, "nix32", true);
    throw new EngineError(
      "store",
      "STORE_HASH_MISMATCH",
      `path '${path}' was modified! expected hash '${show(narHash)}' and ${narSize} bytes, got '${show(digest)}' and ${this.#size} bytes`,
      { hint: "the path is damaged where it comes from; verify it there" },
    );
  }
}
