// What a binary cache needs from its place: to read, check for, write and, if possible, list objects by key.

/** Data to be stored. It can be read any number of times, since a failed upload is retried. */
export interface Upload {
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of all of it, 32 bytes. */
  readonly sha256: Uint8Array;
  /** The bytes from `start` up to, not including, `end`. Each piece may be overwritten when the next one is requested. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  /** All of the data if it is in memory, else null. */
  readonly bytes: Uint8Array | null;
  /** The file that contains it, which may be moved away; null when it is in memory. */
  readonly file: string | null;
}

/** Objects under keys such as `nix-cache-info` and `nar/<hash>.nar.xz`: relative, with `/` between parts. */
export interface GetPutPort {
  /** As shown to the user; without user names, passwords and parameters. */
  readonly uri: string;
  /**
   * The object's bytes; null when it does not exist. The stream resumes if it can, and ends only when everything has arrived.
   * @throws EngineError of family `transport` or `store`
   */
  get(key: string, signal: AbortSignal | null): Promise<AsyncIterable<Uint8Array> | null>;
  /**
   * The whole object, of at most `maxBytes`; null when it does not exist. Faster than a stream for small objects.
   * @throws like `get`, and EngineError `CACHE_OBJECT_TOO_LARGE`
   */
  getSmall(key: string, maxBytes: number, signal: AbortSignal | null): Promise<Uint8Array | null>;
  /** Whether the object exists. Throws like `get`. */
  has(key: string, signal: AbortSignal | null): Promise<boolean>;
  /** Stores an object, replacing an older one; readers see all of it or nothing. Throws like `get`. */
  put(key: string, upload: Upload, contentType: string, signal: AbortSignal | null): Promise<void>;
  /** The keys directly below the top, or null when they cannot be listed. */
  list(signal: AbortSignal | null): Promise<AsyncIterable<string> | null>;
  /** A directory on the file system of the objects, for data too large for memory; null when there is none. */
  readonly spoolDirectory: string | null;
  /** Whether to cache its answers on disk: not worthwhile for a place that is itself on disk. */
  readonly remote: boolean;
  close(): void;
}

/** Makes an upload of bytes in memory. */
export function uploadOf(bytes: Uint8Array, sha256: Uint8Array): Upload {
  return {
    size: bytes.length,
    sha256,
    bytes,
    file: null,
    async *read(start, end) {
      yield bytes.subarray(start, end);
    },
  };
}
