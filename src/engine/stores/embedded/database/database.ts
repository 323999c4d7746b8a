// The store's SQLite database: opening it as Nix does, waiting for other writers without blocking, and its queries.
import { writeFileSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Clock } from "../../../base/clock.ts";
import { EngineError, messageOf } from "../../../base/errors.ts";
import { parseHash } from "../../../formats/hash.ts";
import type { PathInfo } from "../../../formats/path-info.ts";
import { isStorePath, type StorePath } from "../../../formats/store-path.ts";
import { readSchemaNumber, type StoreLayout } from "../layout.ts";
import { SCHEMA, SCHEMA_NUMBER } from "./schema.ts";

/** How long a writer waits for others, in milliseconds. */
const WRITE_PATIENCE = 60_000;
/** Pauses between two attempts to become the writer, in milliseconds: uniformly random in this range. */
const WRITE_PAUSE = [2, 25] as const;
/** How long a reader waits (blocking) while another process recovers or closes the database, in milliseconds. */
const READ_PATIENCE = 10_000;
/** Pages in the log before a checkpoint; Nix's value, so that a big registration needs one sync. */
const WAL_PAGES = 40_000;

/** A row of ValidPaths with its number. */
export interface StoredPath {
  readonly id: number;
  readonly info: PathInfo;
}

type Row = Record<string, unknown>;

/** One open connection to a store's database. Everything is synchronous except {@link StoreDatabase.write}. */
export class StoreDatabase {
  readonly connection: DatabaseSync;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #statements = new Map<string, StatementSync>();
  /** The end of the latest write, so that writers in this process do not race for the lock. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(connection: DatabaseSync, path: string, clock: Clock, random: () => number) {
    this.connection = connection;
    this.#path = path;
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Opens the database of a store whose directories exist, creating it if there is none.
   * @throws EngineError `STORE_SCHEMA_UNSUPPORTED`, `STORE_DATABASE_FAILED`.
   */
  static open(layout: StoreLayout, clock: Clock, random: () => number): StoreDatabase {
    const schema = readSchemaNumber(layout);
    if (schema !== 0 && schema !== SCHEMA_NUMBER) {
      throw new EngineError(
        "store",
        "STORE_SCHEMA_UNSUPPORTED",
        `the database in '${layout.databaseDir}' has schema ${schema}, expected ${SCHEMA_NUMBER}`,
        {
          hint: "Open the store once with a current Nix, which brings it up to date, or choose another one with --store.",
        },
      );
    }
    let connection: DatabaseSync | null = null;
    try {
      connection = new DatabaseSync(layout.database, { timeout: READ_PATIENCE, enableForeignKeyConstraints: true });
      connection.exec("pragma synchronous = normal");
      connection.exec("pragma main.journal_mode = wal");
      connection.exec(`pragma wal_autocheckpoint = ${WAL_PAGES}`);
      if (schema === 0) {
        connection.exec(`begin immediate; ${SCHEMA} commit;`);
        writeFileSync(layout.schemaFile, `${SCHEMA_NUMBER}`);
      }
      return new StoreDatabase(connection, layout.database, clock, random);
    } catch (cause) {
      connection?.close();
      throw new EngineError(
        "store",
        "STORE_DATABASE_FAILED",
        `cannot open the database '${layout.database}': ${messageOf(cause)}`,
        {
          hint: "Look at free space and permissions; a damaged database can be rebuilt by verifying the store.",
          cause,
        },
      );
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.connection.isOpen) this.connection.close();
  }

  /** The prepared form of a statement. */
  statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.connection.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * Runs `change` as one transaction, waiting (without blocking) until no other process writes. Rolls back when `change` throws.
   * @throws EngineError `STORE_DATABASE_BUSY` after a minute of waiting, `STORE_DATABASE_FAILED`, and the errors of `change`.
   */
  async write<T>(change: () => T): Promise<T> {
    const turn = this.#writing.then(() => this.#write(change));
    this.#writing = turn.catch(() => undefined);
    return turn;
  }

  async #write<T>(change: () => T): Promise<T> {
    const deadline = this.#clock.now() + WRITE_PATIENCE;
    while (!this.#begin()) {
      if (this.#clock.now() > deadline) {
        throw new EngineError(
          "store",
          "STORE_DATABASE_BUSY",
          `the database '${this.#path}' has been busy for a minute`,
          {
            hint: "See which process is writing to this store, and try again.",
          },
        );
      }
      const pause = WRITE_PAUSE[0] + this.#random() * (WRITE_PAUSE[1] - WRITE_PAUSE[0]);
      await new Promise<void>((resolve) => this.#clock.after(pause, resolve));
    }
    try {
      const result = change();
      this.connection.exec("commit");
      return result;
    } catch (error) {
      // After some errors (full disk) SQLite has already rolled back, and reports it.
      if (this.connection.isTransaction) this.connection.exec("rollback");
      if (error instanceof EngineError) throw error;
      throw new EngineError("store", "STORE_DATABASE_FAILED", `writing to '${this.#path}': ${messageOf(error)}`, {
        hint: "Nothing of this change was kept; look at free space in the store.",
        cause: error,
      });
    }
  }

  /** Becomes the writer; false while another connection is. */
  #begin(): boolean {
    this.connection.exec("pragma busy_timeout = 0");
    try {
      this.connection.exec("begin immediate");
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw new EngineError("store", "STORE_DATABASE_FAILED", `writing to '${this.#path}': ${messageOf(error)}`, {
        hint: "Look at free space in the store.",
        cause: error,
      });
    } finally {
      this.connection.exec(`pragma busy_timeout = ${READ_PATIENCE}`);
    }
  }

  isValid(path: StorePath): boolean {
    return this.statement("select 1 from ValidPaths where path = ?").get(path) !== undefined;
  }

  /** The row number of a valid path, null for others. */
  idOf(path: StorePath): number | null {
    const row = this.statement("select id from ValidPaths where path = ?").get(path) as Row | undefined;
    return row === undefined ? null : Number(row.id);
  }

  /** The database's information on a valid path, null for others. Throws `STORE_DATABASE_CORRUPT`. */
  find(path: StorePath): StoredPath | null {
    const row = this.statement(
      "select id, hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths where path = ?",
    ).get(path) as Row | undefined;
    if (row === undefined) return null;
    const id = Number(row.id);
    const references = this.statement("select path from Refs join ValidPaths on reference = id where referrer = ?").all(
      id,
    );
    const deriver = row.deriver;
    try {
      return {
        id,
        info: {
          path,
          deriver: typeof deriver === "string" && isStorePath(deriver) ? deriver : null,
          narHash: parseHash(String(row.hash)).digest,
          narSize: BigInt(Number(row.narSize ?? 0)),
          references: pathsIn(references).sort(),
          registrationTime: BigInt(Number(row.registrationTime)),
          ultimate: row.ultimate === 1,
          signatures: String(row.sigs ?? "")
            .split(" ")
            .filter((signature) => signature !== ""),
          contentAddress: typeof row.ca === "string" && row.ca !== "" ? row.ca : null,
        },
      };
    } catch (cause) {
      throw new EngineError("store", "STORE_DATABASE_CORRUPT", `invalid entry for '${path}': ${messageOf(cause)}`, {
        hint: "Verify the store.",
        cause,
      });
    }
  }

  /** Paths that refer to this one, including itself if it does. */
  referrersOf(path: StorePath): StorePath[] {
    return pathsIn(
      this.statement(
        "select path from Refs join ValidPaths on referrer = id where reference = (select id from ValidPaths where path = ?)",
      ).all(path),
    );
  }

  /** The closure of the valid paths among these. */
  closureOf(paths: Iterable<StorePath>): Set<StorePath> {
    const references = this.statement(
      "select path from Refs join ValidPaths on reference = id where referrer = (select id from ValidPaths where path = ?)",
    );
    const closure = new Set<StorePath>();
    const open = [...paths].filter((path) => this.isValid(path));
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (closure.has(path)) continue;
      closure.add(path);
      for (const reference of pathsIn(references.all(path))) if (!closure.has(reference)) open.push(reference);
    }
    return closure;
  }

  /** Output name → path of a valid derivation, as in the database; empty for others. */
  derivationOutputsOf(drvPath: StorePath): Map<string, StorePath> {
    const rows = this.statement(
      "select id, path from DerivationOutputs where drv = (select id from ValidPaths where path = ?)",
    ).all(drvPath) as Row[];
    const outputs = new Map<string, StorePath>();
    for (const row of rows) {
      const path = String(row.path);
      if (isStorePath(path)) outputs.set(String(row.id), path);
    }
    return outputs;
  }

  /** Valid derivations with this path as an output. */
  validDeriversOf(path: StorePath): StorePath[] {
    return pathsIn(
      this.statement("select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where d.path = ?").all(
        path,
      ),
    );
  }

  allValidPaths(): StorePath[] {
    return pathsIn(this.statement("select path from ValidPaths").all());
  }

  /** The valid path with this hash part, null when there is none. */
  pathFromHashPart(hashPart: string): StorePath | null {
    const prefix = `/nix/store/${hashPart}`;
    const row = this.statement("select path from ValidPaths where path >= ? limit 1").get(prefix) as Row | undefined;
    const path = String(row?.path ?? "");
    return path.startsWith(`${prefix}-`) && isStorePath(path) ? path : null;
  }
}

function pathsIn(rows: unknown[]): StorePath[] {
  const paths: StorePath[] = [];
  for (const row of rows as Row[]) {
    const path = row.path;
    if (typeof path === "string" && isStorePath(path)) paths.push(path);
  }
  return paths;
}

/** SQLITE_BUSY (5) and SQLITE_PROTOCOL (15), with their extended codes: another connection is using the database. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
  const code = error.errcode & 0xff;
  return code === 5 || code === 15;
}
