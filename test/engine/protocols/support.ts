// What the protocol tests share: a store in memory behind the servers' port, connected pairs, and transports that cut or record bytes.
import { createHash } from "node:crypto";
import { systemClock } from "../../../src/engine/base/clock.ts";
import type { BuildResult } from "../../../src/engine/derivation/build-result.ts";
import type { BasicDerivation } from "../../../src/engine/derivation/derivation.ts";
import { parseDerivation } from "../../../src/engine/derivation/parse.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import {
  contentAddressedPath,
  parseMethodAlgorithm,
  printContentAddress,
} from "../../../src/engine/formats/content-address.ts";
import { hashBytes } from "../../../src/engine/formats/hash.ts";
import type { PathInfo } from "../../../src/engine/formats/path-info.ts";
import { derivationNameOf, hashPartOf, type StorePath } from "../../../src/engine/formats/store-path.ts";
import {
  notServed,
  type ServedBuild,
  type ServedBuildLimits,
  type ServedCall,
  type StoreHandler,
} from "../../../src/engine/protocols/handler.ts";
import type { DerivedPath } from "../../../src/engine/protocols/values/derived-path.ts";
import { WorkerConnection } from "../../../src/engine/protocols/worker/client.ts";
import type { BuildMode, ClientOptions, NarRequest } from "../../../src/engine/protocols/worker/codec.ts";
import { serveWorker, type WorkerServerOptions } from "../../../src/engine/protocols/worker/server.ts";
import type { Transport } from "../../../src/engine/transports/transport.ts";
import { memoryPair } from "../../support/memory-transport.ts";
import { encodeTree } from "../../support/nar-tree.ts";

/** A store path with a made-up hash that begins with the name's own. */
export function pathOf(name: string): StorePath {
  const digits = createHash("sha256").update(name).digest("hex").slice(0, 32).replaceAll("e", "g");
  return `/nix/store/${digits}-${name}` as StorePath;
}

/** The NAR of a file with that text. */
export function narOf(text: string): Uint8Array {
  return encodeTree({ type: "file", executable: false, contents: Buffer.from(text) });
}

/** Information that is right for a NAR. */
export function infoOf(path: StorePath, nar: Uint8Array, references: readonly StorePath[] = []): PathInfo {
  return {
    path,
    deriver: null,
    narHash: new Uint8Array(createHash("sha256").update(nar).digest()),
    narSize: BigInt(nar.length),
    references,
    registrationTime: 1n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
}

/** A derivation with one output whose builder the fake store plays: `env.script` decides what it does. */
export function derivationOf(name: string, script: string): { drvPath: StorePath; derivation: BasicDerivation } {
  const out = pathOf(name);
  return {
    drvPath: pathOf(`${name}.drv`),
    derivation: {
      name,
      outputs: new Map([["out", { type: "inputAddressed", path: out }]]),
      inputSrcs: new Set(),
      platform: "x86_64-linux",
      builder: byteStringOf("/bin/sh"),
      args: [byteStringOf("-c"), byteStringOf(script)],
      env: new Map([
        [byteStringOf("name"), byteStringOf(name)],
        [byteStringOf("out"), byteStringOf(out)],
        [byteStringOf("script"), byteStringOf(script)],
      ]),
    },
  };
}

/** Nothing but a status. */
export function resultOf(result: Partial<BuildResult>): BuildResult {
  return {
    status: "Built",
    errorMessage: "",
    timesBuilt: 1,
    isNonDeterministic: false,
    startTime: 1000,
    stopTime: 1001,
    cpuUserMicros: null,
    cpuSystemMicros: null,
    builtOutputs: new Map(),
    ...result,
  };
}

/** A store in memory. Builders are scripts of one word: `ok`, `fail`, `wait` (until aborted), `talk:N` (N log lines). */
export class FakeStore implements StoreHandler {
  readonly paths = new Map<StorePath, { info: PathInfo; nar: Uint8Array }>();
  readonly tempRoots = new Set<StorePath>();
  readonly roots = new Map<string, StorePath>();
  readonly logs = new Map<StorePath, string>();
  readonly realisations = new Map<string, StorePath>();
  readonly derivations = new Map<StorePath, BasicDerivation>();
  readonly calls: string[] = [];
  lastOptions: ClientOptions | null = null;
  lastLimits: ServedBuildLimits | null = null;
  aborted = 0;

  /** Makes a path valid, named by its name. */
  add(name: string, text: string, references: readonly StorePath[] = []): PathInfo {
    return this.put(pathOf(name), text, references);
  }

  /** Makes a path valid. */
  put(path: StorePath, text: string, references: readonly StorePath[] = []): PathInfo {
    const nar = narOf(text);
    const info = infoOf(path, nar, references);
    this.paths.set(path, { info, nar });
    return info;
  }

  async isValidPath(path: StorePath): Promise<boolean> {
    return this.paths.has(path);
  }

  async queryValidPaths(paths: readonly StorePath[], substitute: boolean): Promise<StorePath[]> {
    if (substitute) this.calls.push("substitute");
    return paths.filter((path) => this.paths.has(path));
  }

  async queryPathInfo(path: StorePath): Promise<PathInfo | null> {
    return this.paths.get(path)?.info ?? null;
  }

  async queryAllValidPaths(): Promise<Iterable<StorePath>> {
    return this.paths.keys();
  }

  async queryReferrers(path: StorePath): Promise<StorePath[]> {
    return [...this.paths.values()].filter(({ info }) => info.references.includes(path)).map(({ info }) => info.path);
  }

  async queryValidDerivers(): Promise<StorePath[]> {
    return [];
  }

  async queryPathFromHashPart(hashPart: string): Promise<StorePath | null> {
    return [...this.paths.keys()].find((path) => hashPartOf(path) === hashPart) ?? null;
  }

  async querySubstitutablePaths(paths: readonly StorePath[]): Promise<StorePath[]> {
    return paths.filter((path) => path.endsWith("-substitutable"));
  }

  async queryMissing(targets: readonly DerivedPath[]) {
    const willBuild = targets.flatMap((target) => (target.type === "built" ? [target.drvPath] : []));
    const unknown = targets.flatMap((target) => (target.type === "opaque" ? [target.path] : []));
    return { willBuild, willSubstitute: [], unknown, downloadSize: 5n, narSize: 2n ** 63n };
  }

  async queryDerivationOutputs(drvPath: StorePath): Promise<Map<string, StorePath | null>> {
    const derivation = this.#derivation(drvPath);
    const outputs = [...derivation.outputs].map(([name, output]): [string, StorePath | null] => [
      name,
      output.type === "inputAddressed" ? output.path : null,
    ]);
    return new Map(outputs);
  }

  #derivation(drvPath: StorePath): BasicDerivation {
    const known = this.derivations.get(drvPath);
    const file = this.paths.get(drvPath);
    if (known !== undefined) return known;
    if (file === undefined) throw new Error(`path '${drvPath}' is not valid`);
    const text = Buffer.from(file.nar).toString("latin1");
    const start = text.indexOf("Derive(");
    const bytes = Buffer.from(text.slice(start, text.lastIndexOf(")])") + 3), "latin1");
    return parseDerivation(bytes, derivationNameOf(drvPath));
  }

  async queryRealisation(id: string): Promise<StorePath | null> {
    return this.realisations.get(id) ?? null;
  }

  async registerRealisation(realisation: { id: string; path: StorePath }): Promise<void> {
    this.realisations.set(realisation.id, realisation.path);
  }

  async narFromPath(path: StorePath): Promise<AsyncIterable<Uint8Array>> {
    const known = this.paths.get(path);
    if (known === undefined) throw new Error(`path '${path}' is not valid`);
    return chunksOf(known.nar, 1000);
  }

  async addToStoreNar(request: NarRequest, nar: AsyncIterable<Uint8Array>): Promise<void> {
    const { info } = request;
    if (request.checkSignatures && info.signatures.length === 0 && info.contentAddress === null) {
      throw new Error(`cannot add path '${info.path}' because it lacks a signature by a trusted key`);
    }
    if (this.paths.has(info.path)) return;
    for (const reference of info.references) {
      if (reference !== info.path && !this.paths.has(reference)) throw new Error(`path '${reference}' is not valid`);
    }
    const bytes = await gathered(nar);
    if (Buffer.compare(createHash("sha256").update(bytes).digest(), info.narHash) !== 0) {
      throw new Error(`hash mismatch importing path '${info.path}'`);
    }
    this.paths.set(info.path, { info, nar: bytes });
  }

  async addToStore(
    request: { name: string; method: string; references: readonly StorePath[] },
    contents: AsyncIterable<Uint8Array>,
  ): Promise<PathInfo> {
    this.calls.push(`addToStore ${request.name} ${request.method}`);
    const bytes = await gathered(contents);
    const nar = request.method.includes(":r:") ? bytes : narOf(Buffer.from(bytes).toString());
    const address = {
      ...parseMethodAlgorithm(request.method.replace(/^fixed:/, "")),
      hash: hashBytes("sha256", bytes),
    };
    const path = contentAddressedPath(request.name, address, { others: request.references, self: false });
    const info = { ...infoOf(path, nar, request.references), contentAddress: printContentAddress(address) };
    this.paths.set(info.path, { info, nar });
    return info;
  }

  async addSignatures(path: StorePath, signatures: readonly string[]): Promise<void> {
    const known = this.paths.get(path);
    if (known === undefined) throw new Error(`path '${path}' is not valid`);
    this.paths.set(path, { ...known, info: { ...known.info, signatures } });
  }

  async addBuildLog(drvPath: StorePath, log: AsyncIterable<Uint8Array>): Promise<void> {
    this.logs.set(drvPath, Buffer.from(await gathered(log)).toString());
  }

  async buildDerivation(
    drvPath: StorePath,
    derivation: BasicDerivation,
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<ServedBuild> {
    this.calls.push(`build ${derivation.name} ${mode}`);
    this.derivations.set(drvPath, derivation);
    this.lastOptions = call.options;
    this.lastLimits = limits;
    return { result: await this.#run(drvPath, derivation, call), derivationHash: null };
  }

  async #run(drvPath: StorePath, derivation: BasicDerivation, call: ServedCall): Promise<BuildResult> {
    const script = derivation.env.get(byteStringOf("script")) ?? "ok";
    const listener = call.building(drvPath);
    listener.started();
    listener.phase("buildPhase");
    if (script === "wait") {
      await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve(), { once: true }));
      this.aborted++;
      throw call.signal.reason;
    }
    const count = script.startsWith("talk:") ? Number(script.slice(5)) : 1;
    for (let index = 0; index < count; index++) listener.logged([`line ${index} of ${derivation.name}`]);
    listener.noticed("note: something");
    if (script === "fail")
      return resultOf({ status: "PermanentFailure", errorMessage: "\u001b[31mbuilder failed\u001b[0m" });
    const built = new Map<string, StorePath>();
    for (const [name, output] of derivation.outputs) {
      if (output.type !== "inputAddressed") continue;
      this.put(output.path, `output of ${derivation.name}`);
      built.set(name, output.path);
    }
    return resultOf({ builtOutputs: built, cpuUserMicros: 12n, cpuSystemMicros: 5n });
  }

  async buildPaths(
    targets: readonly DerivedPath[],
    mode: BuildMode,
    limits: ServedBuildLimits | null,
    call: ServedCall,
  ): Promise<ServedBuild[]> {
    const builds: ServedBuild[] = [];
    for (const target of targets) {
      if (target.type === "opaque") {
        if (!this.paths.has(target.path)) throw new Error(`path '${target.path}' does not exist and cannot be created`);
        builds.push({ result: resultOf({ status: "AlreadyValid" }), derivationHash: null });
        continue;
      }
      const derivation = this.#derivation(target.drvPath);
      builds.push(await this.buildDerivation(target.drvPath, derivation, mode, limits, call));
    }
    return builds;
  }

  async ensurePath(path: StorePath): Promise<void> {
    if (!this.paths.has(path))
      throw new Error(`path '${path}' is required, but there is no substituter that can build it`);
  }

  async addTempRoot(path: StorePath): Promise<void> {
    this.tempRoots.add(path);
  }

  async addIndirectRoot(link: string): Promise<void> {
    this.roots.set(link, pathOf("rooted"));
  }

  async addPermRoot(path: StorePath, link: string): Promise<string> {
    this.roots.set(link, path);
    return link;
  }

  async findRoots(): Promise<Map<string, StorePath>> {
    return this.roots;
  }

  async collectGarbage(request: { action: string; paths: readonly StorePath[] }) {
    this.calls.push(`gc ${request.action}`);
    for (const path of request.paths) this.paths.delete(path);
    return { paths: request.paths, bytesFreed: 2n ** 40n };
  }

  async optimiseStore(): Promise<void> {
    throw notServed("optimiseStore");
  }

  async verifyStore(checkContents: boolean): Promise<boolean> {
    return checkContents;
  }
}

export async function gathered(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

export async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A client of a served fake store. */
export interface Served {
  readonly client: WorkerConnection;
  readonly store: FakeStore;
  /** Settles when the server has ended. */
  readonly ended: Promise<void>;
}

/** Connects a client to a fake store by the worker protocol. */
export async function connect(
  options: Partial<WorkerServerOptions> & {
    readonly store?: FakeStore;
    readonly wrap?: (transport: Transport) => Transport;
  } = {},
): Promise<Served> {
  const [left, right] = memoryPair();
  const store = options.store ?? new FakeStore();
  const ended = serveWorker(right, store, {
    trusted: true,
    nixVersion: "2.34.8",
    firstActivity: 2n ** 40n,
    ...options,
  });
  ended.catch(() => undefined);
  const client = await WorkerConnection.open((options.wrap ?? same)(left), { peer: "test://peer", clock: systemClock });
  return { client, store, ended };
}

function same(transport: Transport): Transport {
  return transport;
}

/** The transport with its input cut into pieces of `size` bytes. */
export function chopped(transport: Transport, size: number): Transport {
  return withInput(transport, async function* () {
    for await (const chunk of transport.input) yield* chunksOf(chunk, size);
  });
}

/** The transport with another input. */
export function withInput(transport: Transport, input: () => AsyncGenerator<Uint8Array, void, undefined>): Transport {
  return {
    input: { [Symbol.asyncIterator]: input },
    write: (bytes) => transport.write(bytes),
    stderr: transport.stderr,
    stderrTail: () => transport.stderrTail(),
    close: () => transport.close(),
    closed: transport.closed,
  };
}

/** A peer that says what the test tells it to: raw bytes in hexadecimal or words, whatever the client sends being recorded. */
export class Puppet {
  readonly transport: Transport;
  readonly #far: Transport;
  #received: Uint8Array = new Uint8Array(0);
  #arrival: (() => void) | null = null;

  constructor(stderrTail = "") {
    const [near, far] = memoryPair();
    this.transport = { ...viewOf(near), stderrTail: () => stderrTail };
    this.#far = far;
    void this.#record();
  }

  say(bytes: Uint8Array): void {
    this.#far.write(bytes).catch(() => undefined);
  }

  hangUp(): void {
    this.#far.close();
  }

  /** What has been received so far, once it is at least `count` bytes. */
  async heard(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      await new Promise<void>((resolve) => {
        this.#arrival = resolve;
      });
    }
    return Buffer.from(this.#received);
  }

  async #record(): Promise<void> {
    for await (const chunk of this.#far.input) {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#arrival?.();
    }
  }
}

function viewOf(transport: Transport): Transport {
  return {
    input: transport.input,
    write: (bytes) => transport.write(bytes),
    stderr: transport.stderr,
    stderrTail: () => transport.stderrTail(),
    close: () => transport.close(),
    closed: transport.closed,
  };
}

/** Bytes written as hexadecimal, blanks ignored. */
export function hex(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(/\s+/g, ""), "hex");
}
