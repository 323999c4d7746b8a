// Holds compressed data until it can be uploaded: a little in memory, more in a file.

import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { EngineError, messageOf } from "../../../base/errors.ts";
import { createHasher, type Hasher } from "../../../formats/hash.ts";
import { type Upload, uploadOf } from "../port.ts";

/** Larger data (bytes) goes to disk. */
const MEMORY_LIMIT = 4 * 1024 * 1024;
const READ_PIECE = 1024 * 1024;

let made = 0;

/** Collects bytes, hashes them, and returns them as an {@link Upload}. */
export class Spool {
  readonly #directory: string;
  readonly #known: Uint8Array | null;
  readonly #hasher: Hasher = createHasher("sha256");
  #chunks: Uint8Array[] = [];
  #size = 0;
  #file: { readonly path: string; readonly handle: FileHandle } | null = null;

  /**
   * @param directory for the file, if one is needed
   * @param sha256 of the data, if the caller guarantees it; null computes it
   */
  constructor(directory: string, sha256: Uint8Array | null) {
    this.#directory = directory;
    this.#known = sha256;
  }

  /** Adds bytes, whose buffer may be overwritten afterwards. Throws `CACHE_SPOOL_FAILED` when the disk fails. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#known === null) this.#hasher.update(chunk);
    this.#size += chunk.length;
    if (this.#file === null && this.#size <= MEMORY_LIMIT) {
      this.#chunks.push(Uint8Array.from(chunk));
      return;
    }
    try {
      if (this.#file === null) {
        const path = join(this.#directory, `.tsbuild-top-${process.pid}-${++made}.part`);
        makeDirectories(this.#directory);
        this.#file = { path, handle: await open(path, "wx+", 0o644) };
        for (const earlier of this.#chunks) await this.#file.handle.writeFile(earlier);
        this.#chunks = [];
      }
      await this.#file.handle.writeFile(chunk);
    } catch (cause) {
      throw new EngineError(
        "store",
        "CACHE_SPOOL_FAILED",
        `cannot write to '${this.#directory}': ${messageOf(cause)}`,
        {
          hint: "packed paths wait there until they are uploaded; make room, or set TMPDIR",
          cause,
        },
      );
    }
  }

  /** Everything written. No more may be written afterwards. */
  finish(): Upload {
    const size = this.#size;
    const sha256 = this.#known ?? new Uint8Array(this.#hasher.digest());
    const file = this.#file;
    if (file === null) return uploadOf(Buffer.concat(this.#chunks), sha256);
    return {
      size,
      sha256,
      bytes: null,
      file: file.path,
      read: (start, end) => readPieces(file.handle, start, end),
    };
  }

  /** Deletes the file, unless it was moved away. */
  async discard(): Promise<void> {
    if (this.#file === null) return;
    const { path, handle } = this.#file;
    this.#file = null;
    await handle.close().catch(() => undefined);
    await unlink(path).catch(() => undefined);
  }
}

/** An open descriptor stays readable after the file has been moved away. */
async function* readPieces(
  handle: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  // One buffer for all: a new one for each would keep the garbage collector busy.
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_PIECE, Math.max(1, end - start)));
  for (let at = start; at < end; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - at), at);
    if (bytesRead === 0) {
      throw new EngineError("store", "CACHE_SPOOL_FAILED", "a packed path became shorter while it was uploaded");
    }
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
