// Keeps the durations of past builds in a small database that several programs may use at once and that survives versions.

import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { makeDirectories } from "../base/directories.ts";
import { expectedDuration, type PastBuild, packageName, REMEMBERED } from "./records/history.ts";

/** Kept in `user_version`; a newer one is left alone and not used. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
  create table if not exists builds (
    id integer primary key,
    name text not null,
    machine text not null,
    durationMs real not null,
    speedFactor real not null,
    endedAt integer not null
  );
  create index if not exists buildsByName on builds (name, machine, id);
`;

/** A build that ended well. */
export interface EndedBuild {
  /** Derivation name, with its version. */
  readonly name: string;
  readonly machine: string;
  readonly durationMs: number;
  readonly speedFactor: number;
  /** ms since 1970. */
  readonly endedAt: number;
}

/** What is known of past builds. */
export interface History {
  /** Reads what is known of these derivation names, so that {@link History.expected} is quick. */
  load(names: Iterable<string>): void;
  /** Expected duration in ms of a loaded name, null when nothing is known. */
  expected(name: string, machine: string, speedFactor: number): number | null;
  /** Writes down builds that ended well, all at once: a write for each would cost more than a small build. */
  record(builds: readonly EndedBuild[]): void;
  close(): void;
}

/** Opens the history. One that cannot be opened or is of a newer version forgets everything: it must never stop a build. */
export function openHistory(file: string): History {
  let database: DatabaseSync | null = null;
  try {
    makeDirectories(dirname(file));
    // Opening a fifo in its place would wait for ever.
    if (existsSync(file) && !statSync(file).isFile()) throw new Error("no regular file");
    database = new DatabaseSync(file);
    database.exec("pragma busy_timeout = 2000; pragma journal_mode = wal; pragma synchronous = normal;");
    const { user_version: version } = database.prepare("pragma user_version").get() as { user_version: number };
    if (version > SCHEMA_VERSION) throw new Error(`history of version ${version}`);
    if (version < SCHEMA_VERSION)
      database.exec(`begin immediate; ${SCHEMA} pragma user_version = ${SCHEMA_VERSION}; commit;`);
  } catch {
    database?.close();
    database = null;
  }
  return new SqliteHistory(database);
}

/** SQLite keeps any kind of value in any column. */
function isPastBuild(row: unknown): row is PastBuild {
  const { machine, durationMs, speedFactor } = row as Record<string, unknown>;
  const isAmount = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value) && value >= 0;
  return typeof machine === "string" && isAmount(durationMs) && isAmount(speedFactor);
}

class SqliteHistory implements History {
  readonly #database: DatabaseSync | null;
  readonly #known = new Map<string, readonly PastBuild[]>();

  constructor(database: DatabaseSync | null) {
    this.#database = database;
  }

  load(names: Iterable<string>): void {
    if (this.#database === null) return;
    let select: StatementSync | null = null;
    for (const name of names) {
      const key = packageName(name);
      if (this.#known.has(key)) continue;
      try {
        select ??= this.#database.prepare(
          "select machine, durationMs, speedFactor from builds where name = ? order by id desc limit 200",
        );
        this.#known.set(key, (select.all(key) as unknown[]).filter(isPastBuild));
      } catch {
        this.#known.set(key, []);
      }
    }
  }

  expected(name: string, machine: string, speedFactor: number): number | null {
    const past = this.#known.get(packageName(name));
    return past === undefined || past.length === 0 ? null : expectedDuration(past, machine, speedFactor);
  }

  record(builds: readonly EndedBuild[]): void {
    if (this.#database === null || builds.length === 0) return;
    try {
      this.#database.exec("begin immediate");
      const insert = this.#database.prepare(
        "insert into builds (name, machine, durationMs, speedFactor, endedAt) values (?, ?, ?, ?, ?)",
      );
      const forget = this.#database.prepare(
        `delete from builds where name = ? and machine = ? and id not in
           (select id from builds where name = ? and machine = ? order by id desc limit ${REMEMBERED})`,
      );
      for (const { name, machine, durationMs, speedFactor, endedAt } of builds) {
        const key = packageName(name);
        insert.run(key, machine, durationMs, speedFactor, Math.round(endedAt));
        forget.run(key, machine, key, machine);
      }
      this.#database.exec("commit");
    } catch {
      // Busy for two seconds or no space left: these builds are not remembered.
      if (this.#database.isTransaction) this.#database.exec("rollback");
    }
  }

  close(): void {
    this.#database?.close();
  }
}
