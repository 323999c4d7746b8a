// A binary cache in a directory (`file://`): one file per object, put in place by renaming.

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, copyFile, open, opendir, rename, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeDirectories } from "../../../base/directories.ts";
import { EngineError, messageOf } from "../../../base/errors.ts";
import type { GetPutPort, Upload } from "../port.ts";
import { readBytes } from "./read-text.ts";

const READ_PIECE = 1024 * 1024;

/** The directories Nix creates in a new cache (`LocalBinaryCacheStore::init`). */
const DIRECTORIES = ["nar", "realisations", "log"];

/** The objects in a directory. Creates nothing before the first write. */
export class FileObjects implements GetPutPort {
  readonly uri: string;
  readonly remote = false;
  readonly #directory: string;
  #made: Promise<void> | null = null;

  /** @param directory absolute */
  constructor(directory: string, uri: string) {
    this.#directory = directory;
    this.uri = uri;
  }

  get spoolDirectory(): string {
    return join(this.#directory, "nar");
  }

  async get(key: string, signal: AbortSignal | null): Promise<AsyncIterable<Uint8Array> | null> {
    signal?.throwIfAborted();
    const file = this.#fileOf(key);
    try {
      const handle = await open(file, "r");
      const options = { highWaterMark: READ_PIECE, ...(signal === null ? {} : { signal }) };
      return createReadStream("", { fd: handle, ...options }) as AsyncIterable<Buffer>;
    } catch (error) {
      if (isMissing(error)) return null;
      throw this.#failure("read", file, error);
    }
  }

  async getSmall(key: string, maxBytes: number, signal: AbortSignal | null): Promise<Uint8Array | null> {
    const stream = await this.get(key, signal);
    try {
      return stream === null ? null : await readBytes(stream, maxBytes, key);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  async has(key: string): Promise<boolean> {
    const file = this.#fileOf(key);
    try {
      await access(file);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw this.#failure("read", file, error);
    }
  }

  async put(key: string, upload: Upload, _contentType: string, signal: AbortSignal | null): Promise<void> {
    await this.prepare();
    const file = this.#fileOf(key);
    // Others may write here at the same time, even where their process ids mean nothing to us.
    const temporary = join(dirname(file), `.tsbuild-top-${randomUUID()}.tmp`);
    try {
      if (upload.file !== null) {
        await moveFile(upload.file, file, temporary);
        return;
      }
      await writeFile(temporary, upload.bytes ?? upload.read(0, upload.size), signal === null ? {} : { signal });
      await rename(temporary, file);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      signal?.throwIfAborted();
      throw this.#failure("write", file, error);
    }
  }

  async list(): Promise<AsyncIterable<string> | null> {
    try {
      const directory = await opendir(this.#directory);
      return (async function* () {
        for await (const entry of directory) yield entry.name;
      })();
    } catch (error) {
      throw this.#failure("read", this.#directory, error);
    }
  }

  /** Creates the directories. */
  async prepare(): Promise<void> {
    this.#made ??= (async () => {
      for (const name of DIRECTORIES) makeDirectories(join(this.#directory, name));
    })().catch((error) => {
      this.#made = null;
      throw this.#failure("make", this.#directory, error);
    });
    await this.#made;
  }

  close(): void {}

  /** A narinfo names its NAR's file, so the key is checked before it becomes a path. */
  #fileOf(key: string): string {
    const parts = key.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..") || key.includes("\0")) {
      throw new EngineError(
        "store",
        "CACHE_KEY_MALFORMED",
        `cache '${this.uri}': expected a relative file name, found '${key}'`,
      );
    }
    return join(this.#directory, key);
  }

  #failure(verb: string, file: string, cause: unknown): EngineError {
    return new EngineError("store", "CACHE_FILE_FAILED", `cannot ${verb} '${file}': ${messageOf(cause)}`, { cause });
  }
}

/** Moves a file, by way of a copy if the two places are on different file systems. */
async function moveFile(from: string, to: string, temporary: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    await copyFile(from, temporary);
    await rename(temporary, to);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
