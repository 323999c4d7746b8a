// Copies valid paths from one store to another: in reference order, small ones read ahead, big ones streamed.
import type { PathInfo } from "../formats/path-info.ts";
import { observeNar, readWhole, streamOf, type WholeNar } from "./nar-stream.ts";
import {
  AddAgainError,
  type AddOptions,
  type IncomingPath,
  type PathSink,
  type PathStore,
  type TransferProgress,
} from "./store.ts";

/** Paths up to this size (bytes) are read ahead into memory; larger ones are streamed in their turn. */
const READ_AHEAD_PATH = 1n << 20n;
/** Maximum number of bytes and of paths waiting in memory. */
const READ_AHEAD_TOTAL = 16n << 20n;
const READ_AHEAD_PATHS = 64;
/** A transfer of this many bytes uses a connection that small ones do not use. */
const LARGE_TRANSFER = 4n << 20n;

export interface CopyOptions {
  readonly from: Pick<PathStore, "narFromPath" | "checksNars">;
  readonly to: Pick<PathSink, "addPaths">;
  /** References first. The caller leaves out paths already valid in `to`. */
  readonly paths: readonly PathInfo[];
  readonly checkSignatures: boolean;
  /** Called as bytes arrive; often. */
  readonly report: (progress: TransferProgress) => void;
  readonly signal: AbortSignal;
}

/** Adds paths whose NARs can be read again, and retries the remaining ones once when the store asks for that. Throws the errors of `to`. */
export async function addAll(
  to: Pick<PathSink, "addPaths">,
  paths: readonly IncomingPath[],
  options: AddOptions,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await to.addPaths(paths, options, signal);
  } catch (error) {
    if (!(error instanceof AddAgainError)) throw error;
    const left = paths.filter(({ info }) => !error.valid.has(info.path));
    await to.addPaths(left, { ...options, count: left.length }, signal);
  }
}

/**
 * Copies paths; those that arrived before a failure remain valid in `to`.
 * @throws the errors of either store, or the signal's reason
 */
export async function copyPaths(options: CopyOptions): Promise<void> {
  try {
    await copyOnce(options);
  } catch (error) {
    if (!(error instanceof AddAgainError)) throw error;
    await copyOnce({ ...options, paths: options.paths.filter(({ path }) => !error.valid.has(path)) });
  }
}

async function copyOnce(options: CopyOptions): Promise<void> {
  const { from, to, paths, signal, report } = options;
  const expectedBytes = paths.reduce((sum, info) => sum + info.narSize, 0n);
  let doneBytes = 0n;

  // Breaking off on either side must also end the reading ahead.
  const inner = new AbortController();
  const both = AbortSignal.any([signal, inner.signal]);
  const ahead = new Map<number, Promise<WholeNar>>();
  let aheadBytes = 0n;
  let next = 0;
  const readAhead = (): void => {
    for (; next < paths.length && ahead.size < READ_AHEAD_PATHS; next++) {
      const info = paths[next]!;
      if (info.narSize > READ_AHEAD_PATH || aheadBytes + info.narSize > READ_AHEAD_TOTAL) return;
      aheadBytes += info.narSize;
      const whole = readWhole(from.narFromPath(info.path, info.narSize, both));
      // Its turn comes later; until then a failure must not count as unhandled.
      whole.catch(() => undefined);
      ahead.set(next, whole);
    }
  };

  async function* nar(index: number, info: PathInfo): AsyncGenerator<Uint8Array, unknown, undefined> {
    const whole = ahead.get(index);
    const stream = whole === undefined ? from.narFromPath(info.path, info.narSize, both) : streamOf(await whole);
    const sha256 = yield* observeNar(stream, (chunk) => {
      doneBytes += BigInt(chunk.length);
      report({ doneBytes, expectedBytes });
    });
    if (ahead.delete(index)) aheadBytes -= info.narSize;
    readAhead();
    return sha256;
  }

  function* incoming(): Iterable<IncomingPath> {
    for (const [index, info] of paths.entries()) {
      readAhead();
      // Not read ahead: it is streamed, while reading ahead continues after it.
      if (next === index) next++;
      yield { info, nar: () => nar(index, info), isChecked: from.checksNars };
    }
  }

  report({ doneBytes, expectedBytes });
  try {
    const { checkSignatures } = options;
    const large = expectedBytes >= LARGE_TRANSFER;
    // Bytes first, then a connection of `to`: waiting for a distant store must not block others from a near one.
    readAhead();
    await ahead.get(0);
    await to.addPaths(incoming(), { checkSignatures, count: paths.length, large }, both);
  } finally {
    inner.abort(new Error("copy ended"));
  }
}
