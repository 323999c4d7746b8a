// A store behind the serve protocol, for an account whose forced command is `nix-store --serve --write`.
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import { isSuccess } from "../../derivation/build-result.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { ServeConnection } from "../../protocols/serve/client.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import type {
  AddOptions,
  BuildAnswer,
  BuildReporter,
  BuildRequest,
  IncomingPath,
  MachineStore,
  Missing,
  StoreDescription,
} from "../store.ts";
import { Connections, collect, streamWithLease, withLease, withSignal } from "./connections.ts";

/** Paths up to this size (bytes) are fetched on the shared connection, whole. */
const SMALL_PATH = 1n << 20n;

export interface ServeStoreOptions {
  readonly uri: string;
  readonly opener: TransportOpener;
  readonly clock: Clock;
  readonly maxBuilds: number;
  /** Turns a failure to open into the error for the user. */
  readonly explain: (error: unknown) => Promise<unknown>;
}

/** The store. It may do whatever the account may; the protocol has no trust, no check builds and no errors in band. */
export class ServeStore implements MachineStore {
  readonly uri: string;
  readonly checksNars = false;
  readonly #opener: TransportOpener;
  readonly #connections: Connections<ServeConnection>;

  constructor(options: ServeStoreOptions) {
    this.uri = options.uri;
    this.#opener = options.opener;
    this.#connections = new Connections({
      peer: options.uri,
      clock: options.clock,
      maxBuilds: options.maxBuilds,
      open: (_use, signal) => openConnection(options, signal),
      onClose: () => options.opener.close(),
    });
  }

  async describe(signal?: AbortSignal): Promise<StoreDescription> {
    const connection = await this.#connections.shared(signal);
    return { uri: this.uri, nixVersion: null, protocol: `serve 2.${connection.minor}`, trusted: null };
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#connections.ask((connection) => connection.queryValidPaths([], QUESTION), signal);
  }

  async queryValidPaths(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Set<StorePath>> {
    return new Set(await this.#connections.ask((connection) => connection.queryValidPaths(paths, QUESTION), signal));
  }

  async lockValidPaths(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>> {
    const options = { lock: true, substitute: false };
    return new Set(await this.#connections.ask((connection) => connection.queryValidPaths(paths, options), signal));
  }

  queryPathInfos(paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> {
    return this.#connections.ask((connection) => connection.queryPathInfos(paths), signal);
  }

  async *narFromPath(
    path: StorePath,
    sizeHint: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (sizeHint <= SMALL_PATH) {
      yield* await this.#connections.ask((connection) => collect(connection.dumpStorePath(path)), signal);
      return;
    }
    const lease = await this.#connections.transfer(true, signal);
    yield* streamWithLease(lease, signal, (connection) => connection.dumpStorePath(path));
  }

  async addPaths(
    paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
    options: AddOptions,
    signal?: AbortSignal,
  ): Promise<void> {
    const lease = await this.#connections.transfer(options.large, signal);
    await withLease(
      lease,
      signal,
      () => false,
      async (connection) => {
        for await (const { info, nar } of paths) await connection.addToStoreNar(info, nar());
      },
    );
  }

  addSignatures(): Promise<void> {
    return Promise.reject(this.#unsupported("adding signatures"));
  }

  // The serving side reports nothing about its substituters; it can only be told to use them while it answers a query.

  async queryMissing(): Promise<Missing> {
    throw this.#unsupported("asking what is missing");
  }

  async querySubstitutable(paths: readonly StorePath[], signal?: AbortSignal): Promise<Set<StorePath>> {
    const options = { lock: true, substitute: true };
    return new Set(await this.#connections.ask((connection) => connection.queryValidPaths(paths, options), signal));
  }

  async ensurePath(path: StorePath, _report: unknown, signal?: AbortSignal): Promise<void> {
    if ((await this.querySubstitutable([path], signal)).has(path)) return;
    throw new EngineError(
      "store",
      "STORE_NOT_SUBSTITUTABLE",
      `${this.uri}: '${path}' could not be fetched by its substituters`,
    );
  }

  async build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    const lease = await this.#connections.builds.acquire(signal);
    return withLease(
      lease,
      signal,
      () => false,
      async (connection) => {
        const { keepFailed, maxSilentTime, timeout, maxLogSize } = request.options;
        const limits = { maxSilentTime, timeout, maxLogSize, keepFailed };
        const { drvPath, derivation, mode } = request;
        const result = await connection.buildDerivation(drvPath, derivation, mode, limits, report);
        if (!isSuccess(result.status)) return { result, outputs: new Map() };
        return { result, outputs: await this.#outputs(request, result.builtOutputs, signal) };
      },
    );
  }

  buildFromClosure(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    // The serving process has the rights of its account for every kind of build.
    return this.build(request, report, signal);
  }

  warmUp(count: number): Promise<void> {
    return this.#connections.builds.warmUp(count);
  }

  heard(): number | null {
    return this.#opener.heard();
  }

  close(reason?: EngineError): Promise<void> {
    return this.#connections.close(reason);
  }

  async #outputs(
    request: BuildRequest,
    built: ReadonlyMap<string, StorePath>,
    signal: AbortSignal,
  ): Promise<Map<string, PathInfo>> {
    const paths = new Map<string, StorePath>();
    for (const [name, output] of request.derivation.outputs) if ("path" in output) paths.set(name, output.path);
    for (const [name, path] of built) paths.set(name, path);
    const infos = await withSignal(this.queryPathInfos(paths.values()), signal);
    const outputs = new Map<string, PathInfo>();
    for (const name of request.derivation.outputs.keys()) {
      const path = paths.get(name);
      const info = path === undefined ? undefined : infos.get(path);
      if (info === undefined) {
        throw new EngineError(
          "protocol",
          "BUILD_OUTPUT_MISSING",
          `${this.uri}: the build of '${request.drvPath}' is said to have succeeded, but its output '${name}' is not valid there`,
        );
      }
      outputs.set(name, info);
    }
    return outputs;
  }

  #unsupported(what: string): EngineError {
    return new EngineError(
      "protocol",
      "PROTOCOL_UNSUPPORTED",
      `${this.uri}: ${what} is not possible over the serve protocol`,
      {
        hint: "allow 'nix-daemon --stdio' for this account, so that the worker protocol can be spoken",
      },
    );
  }
}

const QUESTION = { lock: false, substitute: false };

async function openConnection(options: ServeStoreOptions, signal: AbortSignal | undefined): Promise<ServeConnection> {
  const { opener, uri, clock, explain } = options;
  try {
    const transport = await opener.open(signal);
    return await ServeConnection.open(transport, { peer: uri, clock, signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw await explain(error);
  }
}
