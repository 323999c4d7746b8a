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
  writeSync,
} from "node:fs";
import { EngineError, messageOf } from "../../../base/errors.ts";
import type { ByteString } from "../../../formats/byte-string.ts";
import type { NarEvent } from "../../../formats/nar/event.ts";
import { NarParser } from "../../../formats/nar/parser.ts";
import { BackgroundWriter } from "./background-writer.ts";
import { hasCode, pathBytes, pathString, shownPath, Turns } from "./file-tree.ts";

/** The mtime of every file in a store, in seconds since 1970. */
export const STORE_MTIME = 1;

/** Files of at least this size (bytes) are written in the background. */
const BACKGROUND_WRITE = 128 * 1024;

const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/**
 * Writes the archive that makes up the whole of `chunks` to `path`, which must not exist. Names that lead out of it cannot occur in a NAR
 * (the parser refuses them), and existing files are never opened. Files written before a failure stay: remove them.
 * @throws EngineError `NAR_MALFORMED`, `NAR_TRUNCATED`, `NAR_TRAILING`, `STORE_NO_SPACE`, `STORE_WRITE_FAILED`, and the errors of `chunks`.
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
        const waiting = tree.inBackground(event);
        if (waiting !== null) await waiting;
        tree.push(event);
        if (turns.due()) await turns.pause();
      }
      events.length = 0;
    }
    parser.finish();
  } finally {
    await tree.close();
  }
}

interface OpenFile {
  readonly descriptor: number;
  readonly path: ByteString;
  readonly mode: number;
  /** Null for small files, which are written in one call. */
  readonly background: BackgroundWriter | null;
}

/** Turns the events of one archive into files. */
class TreeWriter {
  readonly #root: ByteString;
  /** Whether the umask changes the requested modes of files. */
  readonly #masked = (process.umask() & 0o555) !== 0;
  readonly #open: ByteString[] = [];
  #file: OpenFile | null = null;

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

  /** What to wait for before calling `push` with the event; usually null. */
  inBackground(event: NarEvent): Promise<void> | null {
    const background = this.#file?.background ?? null;
    if (background === null) return null;
    if (event.type !== "contents" && event.type !== "endFile") return null;
    const work = event.type === "contents" ? background.take(event.bytes) : background.finish();
    return work.catch((error: unknown) => {
      throw this.#failed(error);
    });
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (file === null) return;
    await file.background?.settled();
    closeSync(file.descriptor);
  }

  #push(event: NarEvent): void {
    switch (event.type) {
      case "directory": {
        const path = this.#pathOf(event.name);
        // Writable until its entries exist.
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
        const descriptor = openSync(pathBytes(path), NEW_FILE, mode);
        const background = event.size >= BACKGROUND_WRITE ? new BackgroundWriter(descriptor, event.size) : null;
        this.#file = { descriptor, path, mode, background };
        return;
      }
      case "contents": {
        if (this.#file!.background !== null) return;
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

/** A failed write below `path` as an error with a hint. */
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
