// One machine while it is connected: which paths it has, so that each missing one is sent once, and its transfers.
import type { Clock } from "../../base/clock.ts";
import { EngineError, messageOf } from "../../base/errors.ts";
import type { ScratchStore } from "../../differences/keep/scratch-store.ts";
import type { MachineId } from "../../events/ids.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { copyPaths } from "../../stores/copy.ts";
import { type PathInfos, referencesFirst } from "../../stores/path-infos.ts";
import type { MachineStore, PathSink, PathStore, TransferProgress } from "../../stores/store.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import type { MachineMeans } from "../plan/fact.ts";

/** Paths from this size (bytes) on go by themselves, so that what does not need them need not wait for them. */
const BIG_PATH = 4n << 20n;

/** How long (ms) a machine may take to say what it has to build with. */
const MEANS_WITHIN_MS = 10_000;

/** Told of transfers. */
export interface TransferReporter {
  /** A transfer begins; the returned functions report it. */
  begin(
    direction: "upload" | "download",
    paths: number,
    expectedBytes: bigint,
  ): { progress(progress: TransferProgress): void; end(failure: string | null): void };
}

/** What a comparison needs of a machine. */
export interface MachineAccess {
  /** Null when the machine does not say. */
  readonly nixVersion: string | null;
  /** As `StoreDescription.protocol` says. */
  readonly protocol: string;
  /** Runs a command line on the machine; null where there is no way to. */
  readonly command: ((line: string) => TransportOpener) | null;
  /** Free bytes where the machine builds; null where there is no way to ask. Rejects when it does not answer. */
  readonly freeBytes: ((signal: AbortSignal) => Promise<number>) | null;
  /** Opens a store of its own on the machine; null where there can be none. */
  readonly openScratch: ((signal: AbortSignal) => Promise<ScratchStore>) | null;
}

export interface MachineSessionOptions {
  readonly machine: MachineId;
  readonly store: MachineStore;
  /** The destination store is this machine's store: nothing has to be sent or fetched. */
  readonly isDestination: boolean;
  readonly trusted: boolean | null;
  readonly buildersUseSubstitutes: boolean;
  readonly access: MachineAccess;
}

/** A connected machine. */
export class MachineSession {
  readonly machine: MachineId;
  readonly store: MachineStore;
  readonly isDestination: boolean;
  readonly trusted: boolean | null;
  readonly access: MachineAccess;
  readonly #useSubstitutes: boolean;
  readonly #known = new Set<StorePath>();
  readonly #underWay = new Set<StorePath>();
  /** Settles when paths became known or a transfer ended. */
  #changed = Promise.withResolvers<void>();

  constructor(options: MachineSessionOptions) {
    this.machine = options.machine;
    this.store = options.store;
    this.isDestination = options.isDestination;
    this.trusted = options.trusted;
    this.access = options.access;
    this.#useSubstitutes = options.buildersUseSubstitutes;
  }

  /** Asks the machine what it has to build with, for a moment. */
  async askMeans(clock: Clock, signal: AbortSignal): Promise<MachineMeans> {
    const { freeBytes } = this.access;
    if (freeBytes === null) return { type: "notAsked" };
    const late = new AbortController();
    const cancel = clock.after(MEANS_WITHIN_MS, () => late.abort(new Error("no answer")));
    try {
      return { type: "answered", freeBytes: await freeBytes(AbortSignal.any([signal, late.signal])) };
    } catch {
      signal.throwIfAborted();
      return { type: "noAnswer" };
    } finally {
      cancel();
    }
  }

  /** Notes that a path is valid there: it was built there. */
  holds(path: StorePath): void {
    this.#known.add(path);
  }

  /** Whether the path is known to be valid there. */
  isKnown(path: StorePath): boolean {
    return this.isDestination || this.#known.has(path);
  }

  /**
   * Makes the closure of `paths` valid there: what is missing is substituted there if that is wanted, else sent from `from`, each path once
   * however many builds need it.
   */
  async provide(
    paths: readonly StorePath[],
    from: { readonly store: PathStore; readonly infos: PathInfos },
    reporter: TransferReporter,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.isDestination || paths.every((path) => this.#known.has(path))) return;
    const closure = await from.infos.closure(paths, signal);
    for (;;) {
      const unknown = this.#sendable(closure);
      if (unknown.length > 0) {
        await this.#exclusively(unknown, () => this.#supply(unknown, from.store, reporter, signal));
      }
      if (closure.every((info) => this.#known.has(info.path))) return;
      // Another build's transfer brings the rest; when it fails or is cancelled, this one takes over.
      await waitFor(this.#changed.promise, signal);
    }
  }

  /** What nobody brings yet, without what refers to something that is still on its way: no store takes a path before its references. */
  #sendable(closure: readonly PathInfo[]): readonly PathInfo[] {
    const waiting = new Set<StorePath>();
    return closure.filter(({ path, references }) => {
      if (this.#known.has(path)) return false;
      const mustWait = this.#underWay.has(path) || references.some((other) => other !== path && waiting.has(other));
      if (mustWait) waiting.add(path);
      return !mustWait;
    });
  }

  /** Fetches paths that are valid there into the destination. */
  async receive(
    paths: readonly PathInfo[],
    to: PathSink,
    checkSignatures: boolean,
    reporter: TransferReporter,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.isDestination || paths.length === 0) return;
    // Outputs may refer to each other, and come in the order of their names.
    const ordered = referencesFirst(new Map(paths.map((info) => [info.path, info])));
    const peer = this.store.uri;
    await transfer({
      from: this.store,
      to,
      paths: ordered,
      checkSignatures,
      direction: "download",
      peer,
      reporter,
      signal,
    });
  }

  /** Runs `work` while the paths count as being brought, so that nobody else brings them. */
  async #exclusively(infos: readonly PathInfo[], work: () => Promise<void>): Promise<void> {
    for (const info of infos) this.#underWay.add(info.path);
    try {
      await work();
    } finally {
      for (const info of infos) this.#underWay.delete(info.path);
      this.#announce();
    }
  }

  #learn(paths: Iterable<StorePath>): void {
    for (const path of paths) this.#known.add(path);
    this.#announce();
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #supply(
    unknown: readonly PathInfo[],
    from: PathStore,
    reporter: TransferReporter,
    signal: AbortSignal,
  ): Promise<void> {
    const valid = await this.store.lockValidPaths(
      unknown.map((info) => info.path),
      signal,
    );
    this.#learn(valid);
    let missing = unknown.filter((info) => !valid.has(info.path));
    if (missing.length > 0 && this.#useSubstitutes) {
      await this.#substitute(missing, signal);
      missing = missing.filter((info) => !this.#known.has(info.path));
    }
    if (missing.length === 0) return;
    const [first, rest] = smallFirst(missing);
    for (const paths of [first, rest]) {
      if (paths.length === 0) continue;
      const checkSignatures = this.trusted === false;
      const peer = this.store.uri;
      await transfer({ from, to: this.store, paths, checkSignatures, direction: "upload", peer, reporter, signal });
      this.#learn(paths.map((info) => info.path));
    }
  }

  /** Lets the machine fetch what its own caches have; a failure only means that the path is sent instead. */
  async #substitute(missing: readonly PathInfo[], signal: AbortSignal): Promise<void> {
    const available = await this.store.querySubstitutable(
      missing.map((info) => info.path),
      signal,
    );
    for (const info of missing) {
      if (!available.has(info.path)) continue;
      try {
        await this.store.ensurePath(info.path, () => undefined, signal);
        this.#learn([info.path]);
      } catch (error) {
        signal.throwIfAborted();
        if (isLost(error)) throw error;
      }
    }
  }
}

/** Splits paths, references first, into small ones that refer to no big one, and the rest in order. */
function smallFirst(infos: readonly PathInfo[]): readonly [PathInfo[], PathInfo[]] {
  const later = new Set<StorePath>();
  const small: PathInfo[] = [];
  const rest: PathInfo[] = [];
  for (const info of infos) {
    const waits = info.narSize >= BIG_PATH || info.references.some((path) => path !== info.path && later.has(path));
    if (waits) later.add(info.path);
    (waits ? rest : small).push(info);
  }
  return [small, rest];
}

async function transfer(options: {
  from: PathStore;
  to: PathSink;
  paths: readonly PathInfo[];
  checkSignatures: boolean;
  direction: "upload" | "download";
  /** The machine's store, for messages. */
  peer: string;
  reporter: TransferReporter;
  signal: AbortSignal;
}): Promise<void> {
  const { from, to, paths, checkSignatures, signal } = options;
  const expected = paths.reduce((sum, info) => sum + info.narSize, 0n);
  const report = options.reporter.begin(options.direction, paths.length, expected);
  try {
    await copyPaths({ from, to, paths, checkSignatures, signal, report: (progress) => report.progress(progress) });
    report.end(null);
  } catch (error) {
    const named = withPeer(options.peer, error);
    report.end(messageOf(named));
    throw named;
  }
}

/** The same error, naming the machine: what it sent may have been refused by something that does not know where it came from. */
function withPeer(peer: string, error: unknown): unknown {
  if (!(error instanceof EngineError) || error.message.includes(peer)) return error;
  const { family, code, message, hint } = error;
  return new EngineError(family, code, `${peer}: ${message}`, { cause: error, ...(hint === null ? {} : { hint }) });
}

/** Waits for a promise that cannot be cancelled, but no longer than the signal lets. */
function waitFor<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => undefined);
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function isLost(error: unknown): boolean {
  return error instanceof Error && "family" in error && (error.family === "transport" || error.family === "protocol");
}
