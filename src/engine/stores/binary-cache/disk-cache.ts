// Remembers on disk what binary caches answered: which paths they have or lack, and their `nix-cache-info`.

import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Clock } from "../../base/clock.ts";
import { makeDirectories } from "../../base/directories.ts";
import type { CacheInfo } from "./layout.ts";

/** What is remembered about a path. */
export type Remembered =
  | { readonly type: "unknown" }
  | { readonly type: "missing" }
  | { readonly type: "found"; readonly narInfo: string };

export interface DiskCacheOptions {
  /** Directory of the file; created if missing. */
  readonly directory: string;
  readonly clock: Clock;
  /** Seconds (`narinfo-cache-positive-ttl`, `narinfo-cache-negative-ttl`). */
  readonly positiveTtl: number;
  readonly negativeTtl: number;
}

/** How long Nix trusts a `nix-cache-info`: a week, in ms. */
const CACHE_INFO_TTL = 7 * 24 * 3600 * 1000;
/** How often outdated entries are deleted, in ms. */
const SWEEP_EVERY = 24 * 3600 * 1000;

/** Entries written together. */
const BATCH = 64;

interface Pending {
  readonly uri: string;
  readonly hashPart: string;
  readonly narInfo: string | null;
  /** Ms since 1970. */
  readonly time: number;
}

const SCHEMA = `
  create table if not exists caches (uri text primary key, time integer not null, info text not null) without rowid;
  create table if not exists narinfos (
    uri text not null, hash text not null, time integer not null, narinfo text, primary key (uri, hash)
  ) without rowid;
  create table if not exists sweeps (time integer not null);
`;

/**
 * The disk cache of one user. It must never cause a failure: when the file cannot be opened or written, nothing is remembered.
 */
export class DiskCache {
  readonly #options: DiskCacheOptions;
  #database: DatabaseSync | null;
  /** Entries not written yet: a transaction for many costs as much as for one. */
  #pending = new Map<string, Pending>();
  readonly #statements = new Map<string, StatementSync>();

  constructor(options: DiskCacheOptions) {
    this.#options = options;
    this.#database = open(options.directory);
    this.#quietly(() => this.#sweep());
  }

  lookup(uri: string, hashPart: string): Remembered {
    const pending = this.#pending.get(keyOf(uri, hashPart));
    if (pending !== undefined) {
      return pending.narInfo === null ? { type: "missing" } : { type: "found", narInfo: pending.narInfo };
    }
    const row = this.#quietly(() =>
      this.#statement("select time, narinfo from narinfos where uri = ? and hash = ?").get(uri, hashPart),
    );
    if (row === undefined) return { type: "unknown" };
    const { positiveTtl, negativeTtl } = this.#options;
    const narInfo = typeof row.narinfo === "string" ? row.narinfo : null;
    if (!this.#isFresh(row.time, (narInfo === null ? negativeTtl : positiveTtl) * 1000)) return { type: "unknown" };
    return narInfo === null ? { type: "missing" } : { type: "found", narInfo };
  }

  /** Remembers a narinfo, or with null that there is none. */
  remember(uri: string, hashPart: string, narInfo: string | null): void {
    if (this.#database === null) return;
    const time = this.#options.clock.wallTime();
    this.#pending.set(keyOf(uri, hashPart), { uri, hashPart, narInfo, time });
    this.#flush(BATCH);
  }

  /** Forgets an outdated entry. */
  forget(uri: string, hashPart: string): void {
    this.#flush(1);
    this.#quietly(() => this.#statement("delete from narinfos where uri = ? and hash = ?").run(uri, hashPart));
  }

  /** Writes pending entries if there are at least `least`. Another process may have written meanwhile: the later entry wins. */
  #flush(least: number): void {
    if (this.#pending.size < least) return;
    const pending = this.#pending;
    this.#pending = new Map();
    this.#quietly(() => {
      const put = this.#statement(
        `insert into narinfos (uri, hash, time, narinfo) values (?, ?, ?, ?)
         on conflict (uri, hash) do update set time = excluded.time, narinfo = excluded.narinfo where excluded.time >= time`,
      );
      this.#database?.exec("begin immediate");
      for (const { uri, hashPart, narInfo, time } of pending.values()) put.run(uri, hashPart, time, narInfo);
      this.#database?.exec("commit");
    });
  }

  cacheInfo(uri: string): CacheInfo | null {
    const row = this.#quietly(() => this.#statement("select time, info from caches where uri = ?").get(uri));
    if (row === undefined || typeof row.info !== "string" || !this.#isFresh(row.time, CACHE_INFO_TTL)) return null;
    const info: unknown = JSON.parse(row.info);
    return isCacheInfo(info) ? info : null;
  }

  rememberCacheInfo(uri: string, info: CacheInfo): void {
    const time = this.#options.clock.wallTime();
    this.#quietly(() =>
      this.#statement("insert or replace into caches (uri, time, info) values (?, ?, ?)").run(
        uri,
        time,
        JSON.stringify(info),
      ),
    );
  }

  close(): void {
    this.#flush(1);
    this.#database?.close();
    this.#database = null;
  }

  #isFresh(time: unknown, ttlMs: number): boolean {
    const age = this.#options.clock.wallTime() - Number(time);
    // A clock that was set back must not keep entries forever.
    return age >= -CACHE_INFO_TTL && age < ttlMs;
  }

  #sweep(): void {
    const now = this.#options.clock.wallTime();
    const last = Number(this.#statement("select max(time) as time from sweeps").get()?.time ?? 0);
    if (now - last < SWEEP_EVERY) return;
    const { positiveTtl, negativeTtl } = this.#options;
    this.#statement("delete from narinfos where (narinfo is null and time < ?) or time < ?").run(
      now - negativeTtl * 1000,
      now - positiveTtl * 1000,
    );
    this.#statement("delete from sweeps").run();
    this.#statement("insert into sweeps (time) values (?)").run(now);
  }

  #statement(text: string): StatementSync {
    const known = this.#statements.get(text);
    if (known !== undefined) return known;
    if (this.#database === null) throw new Error("closed");
    const statement = this.#database.prepare(text);
    this.#statements.set(text, statement);
    return statement;
  }

  #quietly<T>(work: () => T): T | undefined {
    if (this.#database === null) return undefined;
    try {
      return work();
    } catch {
      this.#database = null;
      return undefined;
    }
  }
}

function open(directory: string): DatabaseSync | null {
  try {
    makeDirectories(directory, 0o700);
    const database = new DatabaseSync(join(directory, "binary-caches-1.sqlite"), { timeout: 1000 });
    database.exec("pragma journal_mode = wal; pragma synchronous = off;");
    database.exec(SCHEMA);
    return database;
  } catch {
    return null;
  }
}

function isCacheInfo(value: unknown): value is CacheInfo {
  if (typeof value !== "object" || value === null) return false;
  const { storeDir, wantMassQuery, priority } = value as Record<string, unknown>;
  return (
    typeof storeDir === "string" &&
    typeof wantMassQuery === "boolean" &&
    (priority === null || typeof priority === "number")
  );
}

function keyOf(uri: string, hashPart: string): string {
  return `${hashPart} ${uri}`;
}
