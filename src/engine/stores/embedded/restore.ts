// Writes a NAR to disk with the metadata Nix gives store objects: mtime 1, 0444 or 0555, nothing else.
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  write,
  writeSync,
} from "node:fs";
import { EngineError, messageOf } from "../../errors.ts";
import type { ByteString } from "../../formats/byte-string.ts";
import type { NarEvent } from "../../formats/nar/event.ts";
import { NarParser } from "../../formats/nar/parser.ts";
import { hasCode, pathBytes, pathString, shownPath, Turns } from "./file-tree.ts";

/** Seconds since 1970 of every file in a store. */
export const STORE_MTIME = 1;

/** Contents of at least this size (bytes) are written in the background. */
const BACKGROUND_WRITE = 128 * 1024;

const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/**
 * Writes the archive that is the whole of `chunks` to `path`, which must not exist. Names that lead out of it cannot occur in a NAR
 * (the parser refuses them), and nothing that exists is ever opened. What was written before a failure stays: remove it.
 * @throws EngineError `NAR_MALFORMED`, `NAR_TRUNCATED`, `NAR_TRAILING`, `STORE_NO_SPACE`, `STORE_WRITE_FAILED`, and what `chunks` throws.
 */
export async function restorePath(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  path: string,
): Promise<void> {
  const events: NarEvent[] = [];
  const parser = new NarParser((event) => events.push(event));
  const tree = new TreeWriter(path);
  const turns = new Turns();
  try {
    for await (const chunk of chunks) {
      if (parser.push(chunk) < chunk.length) {
        throw new EngineError("format", "NAR_TRAILING", `NAR for '${path}': expected its end, found more bytes`);
      }
      for (const event of events) {
        if (event.type === "contents" && event.bytes.length >= BACKGROUND_WRITE) await tree.writeContents(event.bytes);
        else tree.push(event);
        if (turns.due()) await turns.pause();
      }
      events.length = 0;
    }
    parser.finish();
  } finally {
    tree.close();
  }
}

/** Turns events of one archive into files. */
class TreeWriter {
  readonly #root: ByteString;
  /** Whether files come out with other modes than asked for. */
  readonly #masked = (process.umask() & 0o555) !== 0;
  readonly #open: ByteString[] = [];
  #file: { readonly descriptor: number; readonly path: ByteString; readonly mode: number } | null = null;

  constructor(path: string) {
    this.#root = pathString(path);
  }

  push(event: NarEvent): void {
    try {
      this.#push(event);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Like a `contents` event, without blocking. */
  async writeContents(bytes: Uint8Array): Promise<void> {
    const { descriptor } = this.#file!;
    let done = 0;
    while (done < bytes.length) {
      done += await new Promise<number>((resolve, reject) => {
        write(descriptor, bytes, done, bytes.length - done, null, (error, count) => {
          if (error !== null) reject(this.#failed(error));
          else resolve(count);
        });
      });
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file.descriptor);
    this.#file = null;
  }

  #push(event: NarEvent): void {
    switch (event.type) {
      case "directory": {
        const path = this.#pathOf(event.name);
        // Writable until its entries are there.
        mkdirSync(pathBytes(path), 0o755);
        this.#open.push(path);
        return;
      }
      case "endDirectory": {
        const path = pathBytes(this.#open.pop()!);
        chmodSync(path, 0o555);
        utimesSync(path, STORE_MTIME, STORE_MTIME);
        return;
      }
      case "symlink": {
        const path = pathBytes(this.#pathOf(event.name));
        symlinkSync(pathBytes(event.target), path);
        lutimesSync(path, STORE_MTIME, STORE_MTIME);
        return;
      }
      case "file": {
        const path = this.#pathOf(event.name);
        const mode = event.executable ? 0o555 : 0o444;
        this.#file = { descriptor: openSync(pathBytes(path), NEW_FILE, mode), path, mode };
        return;
      }
      case "contents": {
        let done = 0;
        while (done < event.bytes.length) {
          done += writeSync(this.#file!.descriptor, event.bytes, done, event.bytes.length - done);
        }
        return;
      }
      case "endFile": {
        const { descriptor, mode } = this.#file!;
        if (this.#masked) fchmodSync(descriptor, mode);
        futimesSync(descriptor, STORE_MTIME, STORE_MTIME);
        this.#file = null;
        closeSync(descriptor);
      }
    }
  }

  #pathOf(name: ByteString): ByteString {
    const parent = this.#open.at(-1);
    return parent === undefined ? this.#root : (`${parent}/${name}` as ByteString);
  }

  #failed(error: unknown): EngineError {
    return writeFailure(shownPath(this.#file?.path ?? this.#open.at(-1) ?? this.#root), error);
  }
}

/** A failed write below `path` as an error that says what to do. */
export function writeFailure(path: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  if (hasCode(cause, "ENOSPC", "EDQUOT")) {
    return new EngineError("store", "STORE_NO_SPACE", `no space left for '${path}'`, {
      hint: "Free some space (delete paths of the store that are not needed), and try again.",
      cause,
    });
  }
  return new EngineError("store", "STORE_WRITE_FAILED", `cannot write '${path}': ${messageOf(cause)}`, { cause });
}
