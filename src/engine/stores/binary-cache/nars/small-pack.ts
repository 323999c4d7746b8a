// Compresses and decompresses small data in one call: a stream would cost more than the work.
import { promisify } from "node:util";
import {
  brotliCompress,
  brotliDecompressSync,
  constants,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { EngineError, messageOf } from "../../../base/errors.ts";
import type { Compression } from "./compression.ts";
import { wrongSize, xzPack, xzUnpack } from "./xz-batch.ts";

/** NARs and files up to this size (bytes) count as small. */
export const SMALL = 256 * 1024;

/**
 * Compresses bytes. Not available for bzip2.
 * @param level null: the compression's default
 * @throws EngineError `COMPRESSION_FAILED`, `COMPRESSION_PROGRAM_MISSING`
 */
export async function packSmall(
  bytes: Uint8Array,
  compression: Exclude<Compression, "bzip2">,
  level: number | null,
  directory: string,
): Promise<Uint8Array> {
  switch (compression) {
    case "none":
      return bytes;
    case "xz":
      return xzPack(bytes, level, directory);
    case "zstd": {
      const params = level === null ? {} : { [constants.ZSTD_c_compressionLevel]: level };
      return zstdCompressSync(bytes, { params, pledgedSrcSize: bytes.length, chunkSize: chunkFor(bytes.length) });
    }
    case "gzip":
      return gzipSync(bytes, level === null ? {} : { level });
    case "br": {
      // Brotli's highest level takes long even for little data, so not in this thread.
      const params = level === null ? {} : { [constants.BROTLI_PARAM_QUALITY]: level };
      return promisify(brotliCompress)(bytes, { params });
    }
  }
}

/**
 * Decompresses bytes to exactly `size` bytes.
 * @throws EngineError `COMPRESSION_TOO_LARGE`, `COMPRESSION_TOO_SMALL` for another size, `COMPRESSION_FAILED`, `COMPRESSION_PROGRAM_MISSING`
 */
export async function unpackSmall(
  bytes: Uint8Array,
  compression: Exclude<Compression, "bzip2">,
  size: number,
): Promise<Uint8Array> {
  if (compression === "xz") return xzUnpack(bytes, size);
  let output: Uint8Array;
  try {
    output = unpackNow(bytes, compression, size);
  } catch (error) {
    if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE")
      throw wrongSize(compression, size, null);
    throw new EngineError("store", "COMPRESSION_FAILED", `${compression}: ${messageOf(error)}`, { cause: error });
  }
  if (output.length !== size) throw wrongSize(compression, size, output.length);
  return output;
}

function unpackNow(bytes: Uint8Array, compression: Exclude<Compression, "bzip2" | "xz">, size: number): Uint8Array {
  const options = { maxOutputLength: Math.max(1, size), chunkSize: chunkFor(size) };
  switch (compression) {
    case "none":
      return bytes;
    case "zstd":
      return zstdDecompressSync(bytes, options);
    case "gzip":
      return gunzipSync(bytes, options);
    case "br":
      return brotliDecompressSync(bytes, options);
  }
}

function chunkFor(size: number): number {
  return Math.max(1024, size + 256);
}
