// What a binary cache needs of the place it lies in: to read, look for, write and, where possible, list objects by key.

/** Something to be stored. It can be read as often as needed, since a failed upload is tried again. */
export interface Upload {
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of all of it, 32 bytes. */
  readonly sha256: Uint8Array;
  /** The bytes from `start` up to, not including, `end`. Each piece may be overwritten when the next one is asked for. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  /** All of it where it is in memory, else null. */
  readonly bytes: Uint8Array | null;
  /** The file it lies in and that may be moved away; null when it is in memory. */
  readonly file: string | null;
}

/** Objects under keys such as `nix-cache-info` and `nar/<hash>.nar.xz`: relative, with `/` between parts. */
export interface GetPutPort {
  /** As shown to the user; without user names, passwords and parameters. */
  readonly uri: string;
  /**
   * The object's bytes; null when there is none. The stream resumes by itself where it can and ends only when everything has come.
   * @throws EngineError of family `transport` or `store`
   */
  get(key: string, signal: AbortSignal | null): Promise<AsyncIterable<Uint8Array> | null>;
  /**
   * The whole of an object that has at most `maxBytes`; null when there is none. Quicker than a stream for what is small.
   * @throws as `get` does, and EngineError `CACHE_OBJECT_TOO_LARGE`
   */
  getSmall(key: string, maxBytes: number, signal: AbortSignal | null): Promise<Uint8Array | null>;
  /** Whether there is such an object. Throws as `get` does. */
  has(key: string, signal: AbortSignal | null): Promise<boolean>;
  /** Stores an object, replacing an older one; readers see the whole of it or nothing. Throws as `get` does. */
  put(key: string, upload: Upload, contentType: string, signal: AbortSignal | null): Promise<void>;
  /** The keys directly below the top, or null where that cannot be asked. */
  list(signal: AbortSignal | null): Promise<AsyncIterable<string> | null>;
  /** A directory on the file system objects end up in, for what is too large for memory; null where there is none. */
  readonly spoolDirectory: string | null;
  /** Whether what it says may be remembered on disk: not worth it for what is on disk itself. */
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
