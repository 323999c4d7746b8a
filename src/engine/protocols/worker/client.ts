// The worker protocol's client: opening a connection, and the operations that move contents or build (Nix: remote-store.cc).

import type { Clock } from "../../base/clock.ts";
import type { EngineError } from "../../base/errors.ts";
import type { BuildResult } from "../../derivation/build-result.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import type { Transport } from "../../transports/transport.ts";
import { limitHandshake } from "../handshake-limit.ts";
import { MAX_ITEMS, MAX_STRING_BYTES } from "../limits.ts";
import { type LogListener, readError, STDERR } from "../log-frame.ts";
import { requestNar } from "../nar-stream.ts";
import type { Outlet } from "../outlet.ts";
import { Pipeline } from "../pipeline.ts";
import { connectionLost, RemoteError } from "../remote-error.ts";
import { writeBasicDerivation } from "../values/basic-derivation.ts";
import { readBuildResult, workerResultLayout } from "../values/build-result.ts";
import type { DerivedPath } from "../values/derived-path.ts";
import { readUnkeyedPathInfo, writePathInfo } from "../values/path-info.ts";
import { readStorePath, writeStorePaths } from "../values/paths.ts";
import { nixVersionAtLeast, WORKER_NEWEST_MINOR } from "../version.ts";
import { BUILD_MODES, type BuildMode, type ContentRequest, type NarRequest } from "./codec.ts";
import { type Contents, Conversation, narFraming } from "./conversation.ts";
import { greetDaemon } from "./handshake.ts";
import { WORKER_OPERATIONS } from "./operations.ts";
import { readDone, readNothing, WorkerQueries } from "./queries.ts";

/** How to open a worker connection. */
export interface WorkerOptions {
  /** The peer's name for messages: `ssh-ng://mac`. */
  readonly peer: string;
  readonly clock: Clock;
  /** Newest minor to offer; 38 unless a test needs less. */
  readonly offeredMinor?: number;
  /** Aborting it during the handshake drops the connection. */
  readonly signal?: AbortSignal | undefined;
}

/** One path of AddMultipleToStore. */
export interface NarUpload {
  readonly info: PathInfo;
  readonly nar: () => Contents;
}

/**
 * A connection to a daemon. Requests made without waiting for earlier ones are sent back to back and answered in order; the daemon processes
 * one at a time. A method rejects with RemoteError when the daemon refuses, after which the connection remains usable; with
 * `PROTOCOL_UNSUPPORTED` when the agreed version lacks the operation; with any other error when the connection broke (see {@link broken}).
 */
export class WorkerConnection extends WorkerQueries {
  /**
   * Performs the handshake. On failure the transport is closed.
   * @throws EngineError `PROTOCOL_BAD_GREETING` (shows what came instead), `PROTOCOL_VERSION_UNSUPPORTED`, `PROTOCOL_NO_GREETING`, `PROTOCOL_CONNECTION_LOST`;
   * RemoteError when the daemon refuses the client; the signal's reason.
   */
  static async open(transport: Transport, options: WorkerOptions): Promise<WorkerConnection> {
    const { signal } = options;
    const pipeline = new Pipeline(transport, options.peer, options.clock);
    const abort = (): void => transport.close();
    signal?.addEventListener("abort", abort, { once: true });
    const limit = limitHandshake(transport, options.peer, options.clock);
    try {
      signal?.throwIfAborted();
      const agreement = await greetDaemon(pipeline, options.offeredMinor ?? WORKER_NEWEST_MINOR);
      const conversation = new Conversation(pipeline, agreement);
      await conversation.hear(undefined, null);
      pipeline.watch();
      return new WorkerConnection(conversation);
    } catch (error) {
      const reason: unknown =
        signal?.aborted === true ? signal.reason : (limit.failure() ?? (await pipeline.explain(error)));
      pipeline.close();
      throw reason;
    } finally {
      limit.end();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Unusable: closed, ended by the daemon, or out of step. */
  get broken(): boolean {
    return this.pipeline.broken;
  }

  /** Requests sent or queued that have not been answered. */
  get pending(): number {
    return this.pipeline.pending;
  }

  /** Whether AddMultipleToStore is available. */
  get canAddMultiple(): boolean {
    return this.minor >= 32;
  }

  /** Whether AddMultipleToStore skips paths that are already valid: daemons before Nix 2.18 parse their NARs as the next path, and fail. */
  get skipsValid(): boolean {
    return nixVersionAtLeast(this.nixVersion, 2, 18);
  }

  /** Drops the connection, which stops everything the daemon does for it; pending requests reject with `PROTOCOL_CLOSED`. */
  close(reason?: EngineError): void {
    this.pipeline.close(reason);
  }

  /** Adds a path whose references are valid. Only trusted clients may skip the check of signatures. */
  addToStoreNar(request: NarRequest, nar: Contents, onLog?: LogListener): Promise<void> {
    return this.conversation.perform({
      operation: "addToStoreNar",
      write: (writer) => {
        writePathInfo(writer, request.info);
        writer.bool(request.repair).bool(!request.checkSignatures);
      },
      read: readNothing,
      onLog,
      upload: { contents: nar, framing: narFraming(this.minor) },
    });
  }

  /**
   * Adds `count` paths, references before referrers, in one operation. Use it only if {@link canAddMultiple}. The NARs are read one
   * after the other.
   */
  addMultipleToStore(
    count: number,
    uploads: AsyncIterable<NarUpload> | Iterable<NarUpload>,
    options: { readonly repair: boolean; readonly checkSignatures: boolean },
    onLog?: LogListener,
  ): Promise<void> {
    return this.conversation.perform({
      operation: "addMultipleToStore",
      write: (writer) => writer.bool(options.repair).bool(!options.checkSignatures),
      read: readNothing,
      onLog,
      upload: { contents: packUploads(count, uploads), framing: "framed" },
    });
  }

  /** Adds a file, a text or a tree by its contents (≥ 1.25) and returns the resulting path. `r:` and `git:` methods need a NAR. */
  addToStore(request: ContentRequest, contents: Contents, onLog?: LogListener): Promise<PathInfo> {
    return this.conversation.perform({
      operation: "addToStore",
      write: (writer) => {
        writer.string(request.name).string(request.method);
        writeStorePaths(writer, request.references);
        writer.bool(false);
      },
      read: async (reader) => readUnkeyedPathInfo(reader, await readStorePath(reader)),
      onLog,
      upload: { contents, framing: "framed" },
    });
  }

  /**
   * The NAR of a valid path; the request is sent at once. Iterate several in the order of the requests, each to its end; breaking one
   * off closes the connection.
   */
  narFromPath(path: StorePath): AsyncIterable<Uint8Array> {
    const request = new ByteWriter().u64(WORKER_OPERATIONS.narFromPath).string(path).finish();
    const send = (outlet: Outlet): null => {
      outlet.push(request);
      return null;
    };
    return requestNar(this.pipeline, "narFromPath", send, async (refuse) => {
      await this.conversation.hear(undefined, null);
      const head = Buffer.from(await this.pipeline.reader.peek(8));
      if (head.length < 8 || head.readBigUInt64LE() !== STDERR.error) return;
      // Since Nix 2.33 the daemon refuses an invalid path in place of its NAR, and ends the connection.
      await this.pipeline.reader.readU64();
      const report = await readError(this.pipeline.reader, this.minor);
      const error = new RemoteError(this.pipeline.peer, report);
      refuse(error);
      throw connectionLost(this.pipeline.peer, `the daemon ended it after an error: ${error.remoteMessage}`, "", error);
    });
  }

  addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    return this.ask("addSignatures", (writer) => writer.string(path).strings(signatures), readDone);
  }

  /** Stores a build log where `nix log` finds it; needs trust. */
  addBuildLog(drvPath: StorePath, log: Contents): Promise<void> {
    return this.conversation.perform({
      operation: "addBuildLog",
      write: (writer) => writer.string(baseNameOf(drvPath)),
      read: readDone,
      upload: { contents: log, framing: "framed" },
    });
  }

  /** Builds one derivation whose inputs are valid; its failure is a result, not an error. `hearBuild` makes a listener for the log. */
  buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    onLog?: LogListener,
  ): Promise<BuildResult> {
    const write = (writer: ByteWriter): void => {
      writer.string(drvPath);
      writeBasicDerivation(writer, derivation);
      writer.u64(BUILD_MODES.indexOf(mode));
    };
    const layout = workerResultLayout(this.minor);
    return this.ask("buildDerivation", write, (reader) => readBuildResult(reader, layout), onLog);
  }

  /** Makes the targets valid by any means; a target's failure is a RemoteError. */
  buildPaths(targets: readonly DerivedPath[], mode: BuildMode, onLog?: LogListener): Promise<void> {
    const write = (writer: ByteWriter): void => {
      this.writeTargets(writer, targets);
      writer.u64(BUILD_MODES.indexOf(mode));
    };
    return this.ask("buildPaths", write, readDone, onLog);
  }

  /**
   * Makes the targets valid and reports how each ended (≥ 1.34), by its text (`drv!out`, `drv!*`, a path; see printDerivedPath). Targets that
   * the daemon never started are missing.
   */
  buildPathsWithResults(
    targets: readonly DerivedPath[],
    mode: BuildMode,
    onLog?: LogListener,
  ): Promise<Map<string, BuildResult>> {
    const write = (writer: ByteWriter): void => {
      this.writeTargets(writer, targets);
      writer.u64(BUILD_MODES.indexOf(mode));
    };
    const layout = workerResultLayout(this.minor);
    const read = async (reader: ByteReader): Promise<Map<string, BuildResult>> => {
      const readItem = async (): Promise<[string, BuildResult]> => {
        const target = await reader.readString(MAX_STRING_BYTES, "a target");
        return [target, await readBuildResult(reader, layout)];
      };
      return new Map(await reader.readList(MAX_ITEMS, readItem, "build results"));
    };
    return this.ask("buildPathsWithResults", write, read, onLog);
  }

  /** Makes a path valid by substitution. */
  ensurePath(path: StorePath, onLog?: LogListener): Promise<void> {
    return this.ask("ensurePath", (writer) => writer.string(path), readDone, onLog);
  }
}

/** The stream of AddMultipleToStore: a count, then path, information and NAR of each. */
async function* packUploads(
  count: number,
  uploads: AsyncIterable<NarUpload> | Iterable<NarUpload>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new ByteWriter();
  yield writer.u64(count).finish();
  for await (const upload of uploads) {
    writePathInfo(writer, upload.info);
    yield writer.finish();
    yield* upload.nar();
  }
}
