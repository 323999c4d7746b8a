// The substituters as an embedded store uses them: in the order of their priorities, opened when first needed, broken ones left out.
import type { Clock } from "../../base/clock.ts";
import { EngineError, wordsOf } from "../../base/errors.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { Substituter } from "../embedded/substitute.ts";
import type { NarStream } from "../nar-stream.ts";
import type { PathStore } from "../store.ts";

/** One store of `substituters`, not opened yet. */
export interface Source {
  /** As shown to the user. */
  readonly uri: string;
  /** `priority` of its reference; null queries the store. */
  readonly priority: number | null;
  /** `trusted` of its reference: its paths need no signature. */
  readonly trusted: boolean;
  readonly open: () => Promise<OpenSource>;
}

/** An open source. */
export interface OpenSource extends Pick<PathStore, "queryPathInfos" | "narFromPath" | "checksNars"> {
  /** Its own priority, 0 when it has none. */
  readonly priority: (signal: AbortSignal | null) => Promise<number>;
  readonly downloadSize: (path: StorePath) => bigint;
  readonly close: () => Promise<void>;
}

export interface SubstitutersOptions {
  /** In the order of the setting, which breaks ties between priorities. */
  readonly sources: readonly Source[];
  readonly clock: Clock;
  readonly notice: (message: string) => void;
  /** Called after all are closed. */
  readonly onClose: () => void;
}

/** How long (ms) to leave an unreachable source alone (as in Nix, `HttpBinaryCacheStore::maybeDisable`). */
const REST = 60_000;

interface Member {
  readonly source: Source;
  opened: OpenSource | null;
  opening: Promise<OpenSource> | null;
  priority: number;
  /** Until when (ms of the clock) to leave it alone. */
  restingUntil: number;
  /** Its paths that were refused: they are not offered again. */
  readonly refused: Set<StorePath>;
  /** Whether its insufficient signatures have been reported. */
  isDisbelieved: boolean;
}

/** All substituters of a run. */
export class Substituters {
  /** What an embedded store receives: ports by rank, whichever source turns out to have that rank. */
  readonly ports: readonly Substituter[];
  readonly #members: readonly Member[];
  readonly #options: SubstitutersOptions;
  #ordered: readonly Member[];
  #ordering: Promise<void> | null = null;

  constructor(options: SubstitutersOptions) {
    this.#options = options;
    this.#members = options.sources.map((source) => ({
      source,
      opened: null,
      opening: null,
      priority: source.priority ?? 0,
      restingUntil: Number.NEGATIVE_INFINITY,
      refused: new Set(),
      isDisbelieved: false,
    }));
    this.#ordered = this.#members;
    this.ports = this.#members.map((_, rank) => this.#port(rank));
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#members.map(async (member) => (await member.opening?.catch(() => null))?.close()));
    this.#options.onClose();
  }

  /** Makes a store close these after itself. */
  closeWith<Store extends { close(): Promise<void> }>(store: Store): Store {
    const close = store.close.bind(store);
    store.close = async () => {
      await close();
      await this.close();
    };
    return store;
  }

  /** The ranks of the sources are known only after a query, which happens only when a path is wanted. */
  #port(rank: number): Substituter {
    const member = (): Member => this.#ordered[rank]!;
    const query = (paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> =>
      this.#query(rank, paths, signal);
    const read = (path: StorePath, size: bigint, signal?: AbortSignal): NarStream =>
      this.#read(member(), path, size, signal);
    return {
      get uri() {
        return member().source.uri;
      },
      get trusted() {
        return member().source.trusted;
      },
      priority: rank,
      downloadSize: (path) => member().opened?.downloadSize(path) ?? 0n,
      disbelieved: (path) => this.#disbelieve(member(), path),
      queryPathInfos: query,
      narFromPath: read,
      get checksNars() {
        return member().opened?.checksNars ?? false;
      },
    };
  }

  async #query(rank: number, paths: Iterable<StorePath>, signal?: AbortSignal): Promise<Map<StorePath, PathInfo>> {
    await this.#order(signal ?? null);
    const member = this.#ordered[rank]!;
    const asked = [...paths].filter((path) => !member.refused.has(path));
    if (asked.length === 0 || this.#rests(member)) return new Map();
    try {
      const opened = await this.#open(member);
      return await askAll(opened, asked, (path, error) => this.#refuse(member, path, error), signal);
    } catch (error) {
      signal?.throwIfAborted();
      this.#lay(member, error);
      return new Map();
    }
  }

  async *#read(
    member: Member,
    path: StorePath,
    size: bigint,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, unknown, undefined> {
    try {
      return yield* (await this.#open(member)).narFromPath(path, size, signal);
    } catch (error) {
      signal?.throwIfAborted();
      this.#refuse(member, path, error);
      throw error;
    }
  }

  #refuse(member: Member, path: StorePath, error: unknown): void {
    if (member.refused.has(path)) return;
    member.refused.add(path);
    this.#options.notice(wordsOf(error));
  }

  /** A cache that signs with another key, or not at all, does so for every path: one message for all of them. */
  #disbelieve(member: Member, path: StorePath): void {
    if (member.isDisbelieved) return;
    member.isDisbelieved = true;
    this.#options.notice(
      `substituter '${member.source.uri}' is passed over for '${path}', and for whatever else it has, where no key in 'trusted-public-keys' has signed it`,
    );
  }

  /** Leaves a source alone for a while and reports it once. */
  #lay(member: Member, error: unknown): void {
    const first = member.restingUntil === Number.NEGATIVE_INFINITY;
    member.restingUntil = this.#options.clock.now() + REST;
    if (first) this.#options.notice(`substituter '${member.source.uri}' is left out: ${wordsOf(error)}`);
  }

  #rests(member: Member): boolean {
    return this.#options.clock.now() < member.restingUntil;
  }

  #open(member: Member): Promise<OpenSource> {
    member.opening ??= member.source.open().then(
      (opened) => {
        member.opened = opened;
        return opened;
      },
      (error: unknown) => {
        member.opening = null;
        throw error;
      },
    );
    return member.opening;
  }

  /** Queries those without a configured priority, all at once, and sorts. */
  #order(signal: AbortSignal | null): Promise<void> {
    if (this.#ordering === null) {
      // One caller that gives up must not end it for the others, so the signal only ends the waiting.
      this.#ordering = Promise.all(this.#members.map((member) => this.#learnPriority(member))).then(() => {
        this.#ordered = [...this.#members].sort((one, other) => one.priority - other.priority);
      });
    }
    return signal === null ? this.#ordering : raceAbort(this.#ordering, signal);
  }

  async #learnPriority(member: Member): Promise<void> {
    try {
      const opened = await this.#open(member);
      if (member.source.priority === null) member.priority = await opened.priority(null);
    } catch (error) {
      this.#lay(member, error);
    }
  }
}

/** Queries many paths; when a source's answer for one of them is bad, the others are still queried. */
async function askAll(
  source: OpenSource,
  paths: readonly StorePath[],
  refuse: (path: StorePath, error: unknown) => void,
  signal?: AbortSignal,
): Promise<Map<StorePath, PathInfo>> {
  try {
    return await source.queryPathInfos(paths, signal);
  } catch (error) {
    if (!isAboutOnePath(error)) throw error;
    const found = new Map<StorePath, PathInfo>();
    for (const path of paths) {
      try {
        for (const [key, info] of await source.queryPathInfos([path], signal)) found.set(key, info);
      } catch (single) {
        if (!isAboutOnePath(single)) throw single;
        refuse(path, single);
      }
    }
    return found;
  }
}

function isAboutOnePath(error: unknown): boolean {
  return (
    error instanceof EngineError && (error.code.startsWith("CACHE_NARINFO_") || error.code === "CACHE_OBJECT_TOO_LARGE")
  );
}

function raceAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
