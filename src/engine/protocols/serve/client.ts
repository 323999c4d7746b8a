// The serve protocol's client: `nix-store --serve --write`, for accounts that allow nothing else (Nix: serve-protocol.hh, legacy-ssh-store.cc).

import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import type { BuildResult } from "../../derivation/build-result.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import type { Transport } from "../../transports/transport.ts";
import type { BuildReporter } from "../build-log.ts";
import { limitHandshake } from "../handshake-limit.ts";
import { MAX_STRING_BYTES } from "../limits.ts";
import { requestNar } from "../nar-stream.ts";
import type { Outlet } from "../outlet.ts";
import { Pipeline } from "../pipeline.ts";
import { unsupported } from "../remote-error.ts";
import { sendRaw } from "../upload.ts";
import { writeBasicDerivation } from "../values/basic-derivation.ts";
import { readBuildResult, serveResultLayout } from "../values/build-result.ts";
import { type DerivedPath, printDerivedPath } from "../values/derived-path.ts";
import { writePathInfo } from "../values/path-info.ts";
import { readStorePaths, writeStorePaths } from "../values/paths.ts";
import type { BuildMode } from "../worker/codec.ts";
import {
  type ExportTrailer,
  readQueriedInfo,
  type ServeBuildOptions,
  writeBuildOptions,
  writeExportTrailer,
} from "./codec.ts";
import { SERVE_COMMANDS, type ServeCommand } from "./commands.ts";
import { greetServer } from "./handshake.ts";
import { StderrLines } from "./stderr-lines.ts";

/** An outgoing NAR; iterated once. */
type Contents = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How long standard error must be quiet after a build before its log counts as complete, in ms. */
const LOG_QUIET_MS = 5;

/** How to open a serve connection. */
export interface ServeOptions {
  /** The peer's name for messages: `ssh://mac`. */
  readonly peer: string;
  readonly clock: Clock;
  /** Aborting it during the handshake drops the connection. */
  readonly signal?: AbortSignal | undefined;
}

/** How BuildPaths ended: Nix's exit status and its message. */
export type BuildPathsAnswer =
  | { readonly type: "built" }
  | { readonly type: "failed"; readonly exitStatus: number; readonly message: string };

/**
 * A connection to a serving process. Requests made without waiting for earlier ones are sent back to back and answered in order. There are
 * no errors in band: the process exits on anything it cannot do, and every pending request rejects with its last words on standard error.
 */
export class ServeConnection {
  readonly minor: number;
  readonly #pipeline: Pipeline;
  readonly #stderr: StderrLines;

  private constructor(pipeline: Pipeline, stderr: StderrLines, minor: number) {
    this.#pipeline = pipeline;
    this.#stderr = stderr;
    this.minor = minor;
  }

  /**
   * Performs the handshake. On failure the transport is closed.
   * @throws EngineError `PROTOCOL_BAD_GREETING` (shows what came instead), `PROTOCOL_VERSION_UNSUPPORTED`, `PROTOCOL_NO_GREETING`, `PROTOCOL_CONNECTION_LOST`; the
   * signal's reason.
   */
  static async open(transport: Transport, options: ServeOptions): Promise<ServeConnection> {
    const { signal } = options;
    const pipeline = new Pipeline(transport, options.peer, options.clock);
    const stderr = new StderrLines(transport.stderr, options.clock);
    const abort = (): void => transport.close();
    signal?.addEventListener("abort", abort, { once: true });
    const limit = limitHandshake(transport, options.peer, options.clock);
    try {
      signal?.throwIfAborted();
      const minor = await greetServer(pipeline);
      pipeline.watch();
      return new ServeConnection(pipeline, stderr, minor);
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

  /** Unusable: closed, or ended by the peer. */
  get broken(): boolean {
    return this.#pipeline.broken;
  }

  /** Requests sent or queued that have not been answered. */
  get pending(): number {
    return this.#pipeline.pending;
  }

  /** Drops the connection, which stops everything the process does for it. */
  close(reason?: EngineError): void {
    this.#pipeline.close(reason);
  }

  /** Which of the paths are valid. `lock` keeps them while the connection lives; `substitute` fetches missing ones first. */
  queryValidPaths(
    paths: Iterable<StorePath>,
    options: { readonly lock: boolean; readonly substitute: boolean },
  ): Promise<StorePath[]> {
    const write = (writer: ByteWriter): void => {
      writer.bool(options.lock).bool(options.substitute);
      writeStorePaths(writer, paths);
    };
    return this.#ask("queryValidPaths", write, readStorePaths);
  }

  /** Information on the valid ones of the paths; the protocol does not send registration time and `ultimate`. */
  queryPathInfos(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> {
    const read = async (reader: ByteReader): Promise<Map<StorePath, PathInfo>> => {
      const infos = new Map<StorePath, PathInfo>();
      for (let info = await readQueriedInfo(reader); info !== null; info = await readQueriedInfo(reader)) {
        infos.set(info.path, info);
      }
      return infos;
    };
    return this.#ask("queryPathInfos", (writer) => writeStorePaths(writer, paths), read);
  }

  /** Every path the given ones need, including themselves; with `includeOutputs` also outputs of derivations. */
  queryClosure(paths: Iterable<StorePath>, includeOutputs: boolean): Promise<StorePath[]> {
    const write = (writer: ByteWriter): void => {
      writer.bool(includeOutputs);
      writeStorePaths(writer, paths);
    };
    return this.#ask("queryClosure", write, readStorePaths);
  }

  /**
   * The NAR of a valid path; the request is sent at once, and a path that is not valid ends the process. Iterate several in the order of the
   * requests, each to its end; breaking one off closes the connection.
   */
  dumpStorePath(path: StorePath): AsyncIterable<Uint8Array> {
    const request = new ByteWriter().u64(SERVE_COMMANDS.dumpStorePath).string(path).finish();
    const send = (outlet: Outlet): null => {
      outlet.push(request);
      return null;
    };
    return requestNar(this.#pipeline, "dumpStorePath", send, async () => undefined);
  }

  /** Adds a path whose references are valid; signatures are not checked. A wrong hash ends the process. */
  addToStoreNar(info: PathInfo, nar: Contents): Promise<void> {
    const head = this.#request("addToStoreNar", (writer) => writePathInfo(writer, info));
    const send = async (outlet: Outlet): Promise<void> => {
      outlet.push(head);
      await sendRaw(outlet, exactly(info, nar));
    };
    return this.#pipeline.call("addToStoreNar", send, () => this.#readDone("addToStoreNar"));
  }

  /** Adds paths by ImportPaths, which computes hashes on the remote side and accepts no signatures. */
  importPaths(paths: AsyncIterable<ImportedPath> | Iterable<ImportedPath>): Promise<void> {
    const send = async (outlet: Outlet): Promise<void> => {
      outlet.push(this.#request("importPaths", () => undefined));
      await sendRaw(outlet, packImports(paths));
    };
    return this.#pipeline.call("importPaths", send, () => this.#readDone("importPaths"));
  }

  /** Makes the targets valid by building; the log goes to `listener`. */
  buildPaths(
    targets: readonly DerivedPath[],
    options: ServeBuildOptions,
    listener?: BuildReporter,
  ): Promise<BuildPathsAnswer> {
    const write = (writer: ByteWriter): void => {
      writer.strings(targets.map((target) => printDerivedPath(target, false)));
      writeBuildOptions(writer, this.minor, options);
    };
    const read = async (reader: ByteReader): Promise<BuildPathsAnswer> => {
      const exitStatus = Number(await reader.readU64());
      if (exitStatus === 0) return { type: "built" };
      return { type: "failed", exitStatus, message: await reader.readString(MAX_STRING_BYTES, "an error message") };
    };
    return this.#build("buildPaths", write, read, listener);
  }

  /**
   * Builds one derivation whose inputs are valid. The log is standard error as it comes: no phases, with Nix's own messages among the lines.
   * @throws EngineError `PROTOCOL_UNSUPPORTED` for any mode except `normal`: the protocol has no others.
   */
  async buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    options: ServeBuildOptions,
    listener?: BuildReporter,
  ): Promise<BuildResult> {
    if (mode !== "normal") {
      throw unsupported(
        this.#pipeline.peer,
        `a build of mode '${mode}'`,
        "the serve protocol has no build modes",
        "Allow 'nix-daemon --stdio' for this account, so that the worker protocol can be spoken.",
      );
    }
    const write = (writer: ByteWriter): void => {
      writer.string(drvPath);
      writeBasicDerivation(writer, derivation);
      writeBuildOptions(writer, this.minor, options);
    };
    const layout = serveResultLayout(this.minor);
    return this.#build("buildDerivation", write, (reader) => readBuildResult(reader, layout), listener);
  }

  #request(command: ServeCommand, write: (writer: ByteWriter) => unknown): Uint8Array {
    const writer = new ByteWriter().u64(SERVE_COMMANDS[command]);
    write(writer);
    return writer.finish();
  }

  #ask<T>(
    command: ServeCommand,
    write: (writer: ByteWriter) => unknown,
    read: (reader: ByteReader) => Promise<T>,
  ): Promise<T> {
    const request = this.#request(command, write);
    const send = (outlet: Outlet): null => {
      outlet.push(request);
      return null;
    };
    return this.#pipeline.call(command, send, () => read(this.#pipeline.reader));
  }

  #build<T>(
    command: ServeCommand,
    write: (writer: ByteWriter) => void,
    read: (reader: ByteReader) => Promise<T>,
    listener: BuildReporter | undefined,
  ): Promise<T> {
    const heard = async (reader: ByteReader): Promise<T> => {
      if (listener === undefined) return read(reader);
      // The process does not report when the builder starts; that the request's turn has come is the closest.
      listener.started();
      this.#stderr.listen((lines) => listener.logged(lines));
      try {
        const result = await read(reader);
        await this.#stderr.drain(LOG_QUIET_MS);
        return result;
      } finally {
        this.#stderr.listen(null);
      }
    };
    return this.#ask(command, write, heard);
  }

  async #readDone(command: ServeCommand): Promise<void> {
    const { reader } = this.#pipeline;
    const answer = await reader.readU64();
    if (answer !== 1n) throw reader.fail("WIRE_BAD_VALUE", `expected 1 as the answer of '${command}'`, `${answer}`);
  }
}

/** A path for ImportPaths. */
export interface ImportedPath extends ExportTrailer {
  readonly nar: () => Contents;
}

async function* packImports(
  paths: AsyncIterable<ImportedPath> | Iterable<ImportedPath>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new ByteWriter();
  for await (const path of paths) {
    yield writer.u64(1).finish();
    yield* path.nar();
    writeExportTrailer(writer, path);
    yield writer.finish();
  }
  yield writer.u64(0).finish();
}

/** The remote side reads exactly as many bytes as announced, and would wait for missing ones. */
async function* exactly({ path, narSize }: PathInfo, nar: Contents): AsyncGenerator<Uint8Array, void, undefined> {
  let sent = 0n;
  for await (const chunk of nar) {
    sent += BigInt(chunk.length);
    yield chunk;
  }
  if (sent < narSize)
    throw new EngineError(
      "store",
      "NAR_TRUNCATED",
      `the contents of '${path}' end too early: expected ${narSize} bytes, found ${sent}`,
    );
}
