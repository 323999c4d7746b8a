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

/** Paths up to this size (bytes) are read ahead into memory; larger ones are streamed when their turn comes. */
const READ_AHEAD_PATH = 1n << 20n;
/** At most this much (bytes) and this many paths wait in memory. */
const READ_AHEAD_TOTAL = 16n << 20n;
const READ_AHEAD_PATHS = 64;
/** A transfer of this many bytes takes a connection that small ones do not use. */
const LARGE_TRANSFER = 4n << 20n;

export interface CopyOptions {
  readonly from: Pick<PathStore, "narFromPath" | "checksNars">;
  readonly to: Pick<PathSink, "addPaths">;
  /** References first. Paths that are valid in `to` already should have been left out. */
  readonly paths: readonly PathInfo[];
  readonly checkSignatures: boolean;
  /** Called as bytes arrive; often. */
  readonly report: (progress: TransferProgress) => void;
  readonly signal: AbortSignal;
}

/** Adds paths whose NARs can be had again, and what is left of them once more when the store asks for that. Throws what `to` throws. */
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
 * Copies paths; what arrived before a failure stays valid in `to`.
 * @throws what either store throws, or the signal's reason.
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

  // Breaking off on either side must also end what is being read ahead.
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
      // Looked at when its turn comes; until then a failure must not count as unhandled.
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
      // Not read ahead: it is streamed, and reading ahead goes on behind it.
      if (next === index) next++;
      yield { info, nar: () => nar(index, info), isChecked: from.checksNars };
    }
  }

  report({ doneBytes, expectedBytes });
  try {
    const { checkSignatures } = options;
    const large = expectedBytes >= LARGE_TRANSFER;
    // Bytes first, then a connection of `to`: waiting for a distant store must not keep others from a near one.
    readAhead();
    await ahead.get(0);
    await to.addPaths(incoming(), { checkSignatures, count: paths.length, large }, both);
  } finally {
    inner.abort(new Error("copy ended"));
  }
}
