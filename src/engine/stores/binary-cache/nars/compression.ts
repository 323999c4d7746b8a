// How NARs are compressed: the known compressions, and streams through them; xz and bzip2 are child processes, the rest is in Node.
import { spawn } from "node:child_process";
import { pipeline, Readable, type Transform } from "node:stream";
import {
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
} from "node:zlib";
import { EngineError, messageOf } from "../../../base/errors.ts";

/** Compressions this program can read; it writes all except bzip2. */
export const COMPRESSIONS = ["none", "xz", "zstd", "gzip", "br", "bzip2"] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** Output chunk size of zlib; the small default costs two thirds of the speed. */
const PIECE = 256 * 1024;
/** Minimum input (bytes) per call: each call switches to another thread and back. */
const TAKEN = 256 * 1024;
/** How much output (bytes) may wait: the next is compressed while the last is consumed. */
const AHEAD = 2 * 1024 * 1024;
/** Maximum memory of xz for decompression: its highest level needs an eighth of it. */
const XZ_MEMORY = "512MiB";

/** Options of a compression. */
export interface PackOptions {
  readonly compression: Compression;
  /** Null: the program's default. */
  readonly level: number | null;
  /** xz on all cores (`parallel-compression`). */
  readonly parallel: boolean;
  /** Size of the input in bytes, to choose buffer sizes. */
  readonly sizeHint: number;
}

/** Whether this program knows the compression. */
export function isCompression(word: string): word is Compression {
  return (COMPRESSIONS as readonly string[]).includes(word);
}

/**
 * Compresses a stream.
 * @throws EngineError `COMPRESSION_FAILED`, `COMPRESSION_PROGRAM_MISSING`
 */
export function pack(source: AsyncIterable<Uint8Array>, options: PackOptions): AsyncIterable<Uint8Array> {
  const { compression, level } = options;
  const chunkSize = pieceFor(options.sizeHint);
  switch (compression) {
    case "none":
      return source;
    case "xz": {
      const threads = options.parallel ? "-T0" : "-T1";
      return throughProgram(source, "xz", ["-c", threads, ...(level === null ? [] : [`-${level}`])]);
    }
    case "bzip2":
      return throughProgram(source, "bzip2", ["-c", ...(level === null ? [] : [`-${level}`])]);
    case "zstd": {
      const params = level === null ? {} : { [constants.ZSTD_c_compressionLevel]: level };
      return throughTransform(source, createZstdCompress({ chunkSize, params }), "zstd");
    }
    case "gzip":
      return throughTransform(source, createGzip({ chunkSize, ...(level === null ? {} : { level }) }), "gzip");
    case "br": {
      const params = level === null ? {} : { [constants.BROTLI_PARAM_QUALITY]: level };
      return throughTransform(source, createBrotliCompress({ chunkSize, params }), "br");
    }
  }
}

/**
 * Decompresses a stream. Does not bound the output: the reader must stop when there is more than expected.
 * @param sizeHint expected output in bytes
 * @throws EngineError `COMPRESSION_FAILED` when the input does not have this compression, `COMPRESSION_PROGRAM_MISSING`
 */
export function unpack(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  sizeHint: number,
): AsyncIterable<Uint8Array> {
  const chunkSize = pieceFor(sizeHint);
  const zlib = { chunkSize, readableHighWaterMark: AHEAD };
  switch (compression) {
    case "none":
      return source;
    case "xz":
      return throughProgram(source, "xz", ["-d", "-c", `--memlimit-decompress=${XZ_MEMORY}`]);
    case "bzip2":
      return throughProgram(source, "bzip2", ["-d", "-c"]);
    case "zstd":
      return throughTransform(source, createZstdDecompress(zlib), "zstd");
    case "gzip":
      return throughTransform(source, createGunzip({ chunkSize }), "gzip");
    case "br":
      return throughTransform(source, createBrotliDecompress({ chunkSize }), "br");
  }
}

function pieceFor(size: number): number {
  return Math.min(PIECE, Math.max(4096, size + 1024));
}

/** An error of the source passes unchanged; only the transform's own is wrapped. */
async function* throughTransform(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const watched = watch(gathered(source));
  pipeline(Readable.from(watched.stream), transform, () => undefined);
  try {
    yield* transform as AsyncIterable<Buffer>;
  } catch (error) {
    throw watched.failure() ?? failed(name, messageOf(error), error);
  }
}

/** The same bytes in larger pieces. */
async function* gathered(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < TAKEN) continue;
    yield waiting.length === 1 ? chunk : Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting);
}

async function* throughProgram(
  source: AsyncIterable<Uint8Array>,
  program: string,
  args: readonly string[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, 2000);
  });
  const ended = new Promise<string | null>((resolve, reject) => {
    child.once("error", (error) => reject(missingProgram(program, error)));
    child.once("close", (code, signal) =>
      resolve(code === 0 ? null : `${program} ended with ${signal ?? `status ${code}`}`),
    );
  });
  ended.catch(() => undefined);
  const watched = watch(source);
  pipeline(Readable.from(watched.stream), child.stdin, (error) => {
    // A failed source must not look like one that ended.
    if (error && watched.failure() !== null) child.kill("SIGKILL");
  });
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const failure = await ended;
    const cause = watched.failure();
    if (cause !== null) throw cause;
    if (failure !== null) throw failed(program, complaint.trim() || failure, null);
  } finally {
    child.kill("SIGKILL");
  }
}

/** Remembers why a stream failed, since pipelines report other errors in its place. */
function watch(source: AsyncIterable<Uint8Array>): {
  readonly stream: AsyncIterable<Uint8Array>;
  readonly failure: () => unknown;
} {
  let failure: unknown = null;
  async function* stream(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* source;
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  return { stream: stream(), failure: () => failure };
}

function failed(name: string, reason: string, cause: unknown): EngineError {
  return new EngineError("store", "COMPRESSION_FAILED", `${name}: ${reason.replace(/\s+/g, " ")}`, { cause });
}

function missingProgram(program: string, cause: unknown): EngineError {
  return new EngineError("store", "COMPRESSION_PROGRAM_MISSING", `cannot run '${program}': ${messageOf(cause)}`, {
    hint:
      program === "xz"
        ? "install xz (Debian: xz-utils), or use compression=zstd for caches you write"
        : "install bzip2, or leave this cache out",
    cause,
  });
}
