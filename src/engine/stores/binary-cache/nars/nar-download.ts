// Downloads one NAR and checks everything: size of the file, its compression, size and hash of the NAR. The hash of the file is not
// checked, as in Nix: the NAR's hash covers the same and more.
import { EngineError, messageOf } from "../../../base/errors.ts";
import { createHasher, hashBytes, printHash } from "../../../formats/hash.ts";
import type { NarInfo } from "../../../formats/narinfo.ts";
import type { StorePath } from "../../../formats/store-path.ts";
import type { GetPutPort } from "../port.ts";
import { type Compression, isCompression, unpack } from "./compression.ts";
import { SMALL, unpackSmall } from "./small-pack.ts";

/** Magic bytes of the compressions that have any. */
const MAGICS: readonly (readonly [compression: Compression, bytes: readonly number[]])[] = [
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["gzip", [0x1f, 0x8b]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["none", [0x0d, 0, 0, 0, 0, 0, 0, 0, 0x6e, 0x69, 0x78, 0x2d]],
];

/**
 * The NAR of a narinfo. It ends normally, with its hash checked, only when everything matches the narinfo; until then the data must not be
 * trusted.
 * @throws EngineError `CACHE_NAR_…` naming cache and path, or what the port throws
 */
export async function* downloadNar(
  port: GetPutPort,
  narInfo: NarInfo,
  signal: AbortSignal | null,
): AsyncGenerator<Uint8Array, Uint8Array, undefined> {
  const { info, url, compression } = narInfo;
  const { path } = info;
  if (!isCompression(compression)) {
    throw refusal(
      port,
      path,
      "CACHE_NAR_COMPRESSION",
      `it is packed with '${compression.slice(0, 40)}', which cannot be read here`,
    );
  }
  const { fileSize } = narInfo;
  if (compression !== "bzip2" && fileSize !== null && fileSize <= SMALL && info.narSize <= SMALL) {
    yield await downloadSmall(port, narInfo, compression, Number(fileSize), signal);
    return info.narHash;
  }
  const file = await port.get(url, signal);
  if (file === null) throw missing(port, narInfo);

  const observer = new FileObserver(port, narInfo, compression);
  const hasher = createHasher("sha256");
  let size = 0n;
  try {
    for await (const chunk of unpack(observer.observe(file), compression, Number(info.narSize))) {
      signal?.throwIfAborted();
      size += BigInt(chunk.length);
      // Decompresses no more of the file, whatever it still contains.
      if (size > info.narSize) {
        throw refusal(port, path, "CACHE_NAR_TOO_LARGE", `its NAR should have ${info.narSize} bytes and has more`);
      }
      hasher.update(chunk);
      yield chunk;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof EngineError) || error.code !== "COMPRESSION_FAILED") throw error;
    throw refusal(port, path, "CACHE_NAR_CORRUPT", observer.complaint(messageOf(error)), error);
  }
  if (size !== info.narSize) {
    throw refusal(port, path, "CACHE_NAR_TRUNCATED", `its NAR should have ${info.narSize} bytes and has ${size}`);
  }
  checkHash(port, narInfo, hasher.digest());
  return info.narHash;
}

/** The same for small NARs: checks everything before passing anything on. */
async function downloadSmall(
  port: GetPutPort,
  narInfo: NarInfo,
  compression: Exclude<Compression, "bzip2">,
  fileSize: number,
  signal: AbortSignal | null,
): Promise<Uint8Array> {
  const { info, url } = narInfo;
  const { path, narSize } = info;
  const observer = new FileObserver(port, narInfo, compression);
  const file = await port.getSmall(url, fileSize, signal).catch((error: unknown) => {
    if (!(error instanceof EngineError) || error.code !== "CACHE_OBJECT_TOO_LARGE") throw error;
    throw refusal(port, path, "CACHE_FILE_SIZE", `its file should have ${fileSize} bytes and has more`);
  });
  if (file === null) throw missing(port, narInfo);
  observer.take(file);
  observer.end();
  let nar: Uint8Array;
  try {
    nar = await unpackSmall(file, compression, Number(narSize));
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof EngineError)) throw error;
    switch (error.code) {
      case "COMPRESSION_TOO_LARGE":
        throw refusal(port, path, "CACHE_NAR_TOO_LARGE", `its NAR should have ${narSize} bytes and has more`);
      case "COMPRESSION_TOO_SMALL":
        throw refusal(port, path, "CACHE_NAR_TRUNCATED", `its NAR should have ${narSize} bytes and has less`);
      case "COMPRESSION_FAILED":
        throw refusal(port, path, "CACHE_NAR_CORRUPT", observer.complaint(messageOf(error)), error);
      default:
        throw error;
    }
  }
  checkHash(port, narInfo, hashBytes("sha256", nar).digest);
  return nar;
}

function checkHash(port: GetPutPort, { info: { path, narHash } }: NarInfo, found: Uint8Array): void {
  if (Buffer.compare(found, narHash) === 0) return;
  const text = (digest: Uint8Array): string => printHash({ algorithm: "sha256", digest }, "nix32", true);
  const reason = `its NAR should have the hash '${text(narHash)}' and has '${text(found)}'`;
  throw refusal(port, path, "CACHE_NAR_HASH_MISMATCH", reason);
}

function missing(port: GetPutPort, { info, url }: NarInfo): EngineError {
  return refusal(port, info.path, "CACHE_NAR_MISSING", `its NAR '${url}' does not exist`);
}

/** Checks the file as it arrives, before decompression. */
class FileObserver {
  readonly #port: GetPutPort;
  readonly #narInfo: NarInfo;
  readonly #compression: Compression;
  #size = 0n;
  #head: Buffer = Buffer.alloc(0);

  constructor(port: GetPutPort, narInfo: NarInfo, compression: Compression) {
    this.#port = port;
    this.#narInfo = narInfo;
    this.#compression = compression;
  }

  async *observe(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of file) {
      this.take(chunk);
      yield chunk;
    }
    this.end();
  }

  /** Checks the next bytes. */
  take(chunk: Uint8Array): void {
    const { fileSize } = this.#narInfo;
    if (this.#head.length < 16) this.#head = Buffer.concat([this.#head, chunk.subarray(0, 16)]);
    this.#size += BigInt(chunk.length);
    if (fileSize !== null && this.#size > fileSize) {
      throw this.#refuse("CACHE_FILE_SIZE", `its file should have ${fileSize} bytes and has more`);
    }
  }

  /** Marks the end of the file. */
  end(): void {
    const { fileSize } = this.#narInfo;
    if (fileSize !== null && this.#size < fileSize) {
      throw this.#refuse("CACHE_NAR_TRUNCATED", `its file should have ${fileSize} bytes and has ${this.#size}`);
    }
  }

  /** What is wrong with a file that could not be decompressed. */
  complaint(reason: string): string {
    const actual = MAGICS.find(([, bytes]) => bytes.every((byte, index) => this.#head[index] === byte))?.[0];
    if (actual !== undefined && actual !== this.#compression) {
      return `its file should be packed with ${this.#compression}, but is ${actual === "none" ? "not packed at all" : `packed with ${actual}`}`;
    }
    return `its file cannot be unpacked: ${reason}`;
  }

  #refuse(code: string, reason: string): EngineError {
    return refusal(this.#port, this.#narInfo.info.path, code, reason);
  }
}

/** The error for a path that a cache offers and this program refuses. */
export function refusal(port: GetPutPort, path: StorePath, code: string, reason: string, cause?: unknown): EngineError {
  return new EngineError("store", code, `path '${path}' of binary cache '${port.uri}' is refused: ${reason}`, {
    hint: "the cache is damaged or lies; tell whoever runs it",
    cause,
  });
}
