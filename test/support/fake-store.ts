// A store in memory whose builds a test ends by hand: what the driver and its parts are tried on.
import { createHash } from "node:crypto";
import { EngineError } from "../../src/engine/base/errors.ts";
import type { BuildStatus } from "../../src/engine/derivation/build-result.ts";
import type { PathInfo } from "../../src/engine/formats/path-info.ts";
import type { StorePath } from "../../src/engine/formats/store-path.ts";
import type {
  BuildAnswer,
  BuildReporter,
  BuildRequest,
  DestinationStore,
  IncomingPath,
} from "../../src/engine/stores/store.ts";

/** A build under way. */
export interface FakeBuild {
  readonly request: BuildRequest;
  readonly report: BuildReporter;
  /** Whether it goes through the closure, as without trust. */
  readonly throughClosure: boolean;
  readonly signal: AbortSignal;
  /** Ends it well; its outputs become valid with these contents. */
  done(contents?: string, status?: BuildStatus): void;
  /** Ends it badly. */
  fails(status: BuildStatus, message: string): void;
  /** The connection breaks. */
  breaks(error: Error): void;
}

/** What a path of these contents is. */
export function infoOf(path: StorePath, contents: string, references: readonly StorePath[] = []): PathInfo {
  return {
    path,
    deriver: null,
    narHash: createHash("sha256").update(contents).digest(),
    narSize: BigInt(contents.length),
    references,
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
}

/** Holds paths whose NAR is a text. What was asked of it is kept in `calls`, in order. */
export class FakeStore implements DestinationStore {
  readonly uri: string;
  readonly checksNars = false;
  readonly paths = new Map<StorePath, { readonly info: PathInfo; readonly contents: string }>();
  readonly calls: string[] = [];
  readonly builds: FakeBuild[] = [];
  readonly logs = new Map<StorePath, string>();
  /** Paths that are refused when they are added, with the reason. */
  readonly refused = new Map<StorePath, string>();
  /** Whether it still answers. */
  isThere = true;
  isClosed = false;

  constructor(uri: string) {
    this.uri = uri;
  }

  put(path: StorePath, contents: string, references: readonly StorePath[] = []): this {
    this.paths.set(path, { info: infoOf(path, contents, references), contents });
    return this;
  }

  async describe() {
    return { uri: this.uri, nixVersion: null, protocol: "worker 1.38", trusted: true };
  }

  async queryValidPaths(paths: Iterable<StorePath>): Promise<Set<StorePath>> {
    return new Set([...paths].filter((path) => this.paths.has(path)));
  }

  async queryPathInfos(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> {
    return new Map([...paths].flatMap((path) => (this.paths.has(path) ? [[path, this.paths.get(path)!.info]] : [])));
  }

  async *narFromPath(path: StorePath): AsyncGenerator<Uint8Array, void, undefined> {
    yield Buffer.from(this.paths.get(path)!.contents);
  }

  async addPaths(paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>): Promise<void> {
    for await (const { info, nar } of paths) {
      const pieces: Uint8Array[] = [];
      for await (const piece of nar()) pieces.push(piece);
      this.calls.push(`add ${info.path.slice(44)}`);
      const reason = this.refused.get(info.path);
      if (reason !== undefined) throw new EngineError("store", "FAKE_REFUSED", reason);
      this.paths.set(info.path, { info, contents: Buffer.concat(pieces).toString() });
    }
  }

  async addSignatures(): Promise<void> {}

  async queryMissing() {
    return {
      willBuild: new Set<StorePath>(),
      willSubstitute: new Set<StorePath>(),
      unknown: new Set<StorePath>(),
      downloadSize: 0n,
      narSize: 0n,
    };
  }

  async querySubstitutable(): Promise<Set<StorePath>> {
    return new Set();
  }

  async ensurePath(path: StorePath): Promise<void> {
    this.calls.push(`ensure ${path.slice(44)}`);
    if (!this.paths.has(path)) throw new EngineError("store", "SUBSTITUTE_NOT_FOUND", `nobody has ${path}`);
  }

  build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.#build(request, report, signal, false);
  }

  buildFromClosure(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    return this.#build(request, report, signal, true);
  }

  async warmUp(): Promise<void> {}
  async addTempRoots(): Promise<void> {}
  async addIndirectRoot(): Promise<void> {}

  async addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    for await (const piece of log) text += Buffer.from(piece).toString();
    this.logs.set(drvPath, text);
  }

  async deletePaths(paths: readonly StorePath[]): Promise<bigint> {
    for (const path of paths) {
      this.calls.push(`delete ${path.slice(44)}`);
      this.paths.delete(path);
    }
    return 0n;
  }

  async queryDerivationOutputs(): Promise<Map<string, StorePath | null>> {
    return new Map();
  }

  async registerRealisation(): Promise<void> {}

  async queryRealisation(): Promise<StorePath | null> {
    return null;
  }

  async ping(): Promise<void> {
    if (!this.isThere) throw new EngineError("transport", "FAKE_GONE", "it is gone");
  }

  heard(): number | null {
    return null;
  }

  lockValidPaths(paths: readonly StorePath[]): Promise<Set<StorePath>> {
    return this.queryValidPaths(paths);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #build(request: BuildRequest, report: BuildReporter, signal: AbortSignal, throughClosure: boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<BuildAnswer>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    this.calls.push(`build ${request.mode} ${request.drvPath.slice(44)}`);
    const result = (status: BuildStatus, errorMessage: string) => ({
      status,
      errorMessage,
      timesBuilt: 1,
      isNonDeterministic: false,
      startTime: 0,
      stopTime: 0,
      cpuUserMicros: null,
      cpuSystemMicros: null,
      builtOutputs: new Map<string, StorePath>(),
    });
    this.builds.push({
      request,
      report,
      throughClosure,
      signal,
      done: (contents = "built", status = "Built") => {
        const outputs = new Map<string, PathInfo>();
        for (const [name, output] of request.derivation.outputs) {
          if (!("path" in output)) continue;
          this.put(output.path, contents);
          outputs.set(name, infoOf(output.path, contents));
        }
        resolve({ result: result(status, ""), outputs });
      },
      fails: (status, message) => resolve({ result: result(status, message), outputs: new Map() }),
      breaks: reject,
    });
    return promise;
  }
}
