// One run of the garbage collector: decides as Nix does which paths are dead, and deletes them while it holds Nix's own lock.
import { closeSync, rmSync } from "node:fs";
import { hashPartOf, type StorePath } from "../../../formats/store-path.ts";
import type { StoreDatabase } from "../database/database.ts";
import { removeTree } from "../files/remove.ts";
import { realPathOf, type StoreLayout } from "../layout.ts";
import { CollectorSocket } from "./collector-socket.ts";
import type { GcLock } from "./gc-lock.ts";
import { findRoots, findTempRoots, type Roots } from "./roots.ts";

/** What a collector works on, and what keeps paths alive besides roots and references. */
export interface CollectorScope {
  readonly layout: StoreLayout;
  readonly database: StoreDatabase;
  readonly gcLock: GcLock;
  /** Nix's `keep-derivations`: a derivation is alive while one of its outputs is. */
  readonly keepDerivations: boolean;
  /** Nix's `keep-outputs`: an output is alive while one of its derivations is. */
  readonly keepOutputs: boolean;
  /** Whether to ignore roots (`--ignore-liveness`). References of valid paths are kept in any case. */
  readonly ignoreLiveness: boolean;
}

/** Receives a collector's progress. Must not throw. */
export interface CollectorReport {
  /** Another collector holds the lock. */
  waiting(): void;
  deleting(path: StorePath): void;
}

/** Ignores the progress. */
export const SILENT_COLLECTOR: CollectorReport = { waiting: () => undefined, deleting: () => undefined };

/**
 * Runs `work` while no other collector runs, with all roots found; also honours roots that others add meanwhile.
 * @throws EngineError `STORE_FLOCK_FAILED`; the signal's reason; system errors; errors of `work`.
 */
export async function whileCollecting<T>(
  scope: CollectorScope,
  report: CollectorReport,
  signal: AbortSignal | null,
  work: (collector: Collector) => Promise<T>,
): Promise<T> {
  const { layout, database } = scope;
  // SQLite needs room to record the deletions.
  rmSync(layout.reserved, { force: true });
  const lock = await scope.gcLock.takeExclusive(report.waiting, signal);
  let socket: CollectorSocket | null = null;
  try {
    socket = await CollectorSocket.open(layout.gcSocket);
    const roots = findRoots(layout, (path) => database.isValid(path));
    const tempRoots = await findTempRoots(layout);
    if (!scope.ignoreLiveness) for (const path of tempRoots.keys()) socket.addRoot(hashPartOf(path));
    return await work(new Collector(scope, socket, roots, tempRoots, report));
  } finally {
    socket?.close();
    closeSync(lock);
  }
}

/** The state of one run (Nix: gc.cc, collectGarbage). */
export class Collector {
  readonly #scope: CollectorScope;
  readonly #socket: CollectorSocket;
  readonly #roots: Roots;
  readonly #tempRoots: Roots;
  readonly #report: CollectorReport;
  /** Kept by a root, with everything they need. */
  readonly alive = new Set<StorePath>();
  /** Kept by nothing; deleted ones stay in it. */
  readonly dead = new Set<StorePath>();

  constructor(scope: CollectorScope, socket: CollectorSocket, roots: Roots, tempRoots: Roots, report: CollectorReport) {
    this.#scope = scope;
    this.#socket = socket;
    this.#roots = roots;
    this.#tempRoots = tempRoots;
    this.#report = report;
  }

  /** What keeps the path itself, for messages. */
  keepersOf(path: StorePath): ReadonlySet<string> {
    return this.#roots.get(path) ?? this.#tempRoots.get(path) ?? new Set();
  }

  /**
   * The path and everything that would dangle without it, referrers first, without paths known to be dead. Null when one
   * of these is alive, or not in `only`.
   */
  judge(start: StorePath, only: ReadonlySet<StorePath> | null): StorePath[] | null {
    const { database } = this.#scope;
    const visited = new Set<StorePath>();
    const open = [start];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (visited.has(path) || this.dead.has(path)) continue;
      visited.add(path);
      if (this.alive.has(path) || this.#isRoot(path)) {
        this.#markAlive(start, path);
        return null;
      }
      if (only !== null && !only.has(path)) return null;
      if (database.isValid(path)) open.push(...this.#dependentsOf(path));
    }
    const order = referrersFirst(database, visited);
    for (const path of order) this.dead.add(path);
    return order;
  }

  /**
   * Deletes one path that was judged dead and has no referrers left. Returns the bytes freed; null when somebody has needed it since.
   */
  async delete(path: StorePath): Promise<bigint | null> {
    const { database, layout } = this.#scope;
    let freed: bigint | null = null;
    await this.#socket.whilePending(hashPartOf(path), async () => {
      const unregistered = await database.write(() => {
        // Registered meanwhile, by a process that has a root only for the new path.
        if (database.referrersOf(path).some((referrer) => referrer !== path)) return false;
        database.statement("delete from ValidPaths where path = ?").run(path);
        return true;
      });
      if (!unregistered) return;
      this.#report.deleting(path);
      freed = await removeTree(realPathOf(layout, path));
    });
    if (freed === null) {
      this.dead.delete(path);
      this.#markAlive(path, path);
    }
    return freed;
  }

  #isRoot(path: StorePath): boolean {
    return !this.#scope.ignoreLiveness && (this.#roots.has(path) || this.#socket.hasRoot(hashPartOf(path)));
  }

  /** Paths that, if alive, keep this one alive (the reverse of {@link Collector.#needsOf}). */
  #dependentsOf(path: StorePath): StorePath[] {
    const { database, keepDerivations, keepOutputs } = this.#scope;
    const dependents = database.referrersOf(path);
    if (keepDerivations && path.endsWith(".drv")) {
      for (const output of database.derivationOutputsOf(path).values()) {
        if (database.find(output)?.info.deriver === path) dependents.push(output);
      }
    }
    if (keepOutputs) dependents.push(...database.validDeriversOf(path));
    return dependents;
  }

  #markAlive(start: StorePath, root: StorePath): void {
    const { database, keepDerivations, keepOutputs } = this.#scope;
    this.alive.add(start);
    const seen = new Set<StorePath>();
    const open = [root];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      this.alive.add(path);
      const info = database.find(path)?.info;
      if (info === undefined) continue;
      open.push(...info.references);
      if (keepOutputs && path.endsWith(".drv")) {
        for (const output of database.derivationOutputsOf(path).values()) {
          if (database.isValid(output)) open.push(output);
        }
      }
      if (keepDerivations && info.deriver !== null && database.isValid(info.deriver)) open.push(info.deriver);
    }
  }
}

/** The paths in an order in which no path refers to an earlier one except itself. */
function referrersFirst(database: StoreDatabase, paths: ReadonlySet<StorePath>): StorePath[] {
  const order: StorePath[] = [];
  const done = new Set<StorePath>();
  const open = [...paths].map((path) => ({ path, leaving: false }));
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    if (step.leaving) {
      order.push(step.path);
      continue;
    }
    if (done.has(step.path)) continue;
    done.add(step.path);
    open.push({ path: step.path, leaving: true });
    for (const referrer of database.referrersOf(step.path)) {
      if (paths.has(referrer) && !done.has(referrer)) open.push({ path: referrer, leaving: false });
    }
  }
  return order;
}
