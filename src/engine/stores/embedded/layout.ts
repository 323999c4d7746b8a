// The places in a store on disk: Nix's own layout below a root directory.

import { chmodSync, existsSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeDirectories } from "../../base/directories.ts";
import { EngineError } from "../../base/errors.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";

/** Physical paths of one store; the logical ones stay `/nix/store/…` (Nix manual, local store, `root`). */
export interface StoreLayout {
  readonly root: string;
  /** `ROOT/nix/store`. */
  readonly storeDir: string;
  /** `ROOT/nix/var/nix`. */
  readonly stateDir: string;
  /** `ROOT/nix/var/log/nix/drvs`. */
  readonly logDir: string;
  readonly databaseDir: string;
  readonly database: string;
  /** Holds the schema's number as text. */
  readonly schemaFile: string;
  /** Holds the number of the schema of content-addressed derivations. */
  readonly caSchemaFile: string;
  /** Space Nix keeps free for the collector; released before deleting. */
  readonly reserved: string;
  readonly gcLock: string;
  readonly gcSocket: string;
  readonly tempRootsDir: string;
  readonly gcRootsDir: string;
  readonly autoRootsDir: string;
  readonly profilesDir: string;
  /** Ours: unfinished imports and builds, one directory per process. Nix and its collector never look here. */
  readonly workDir: string;
}

/** The layout below `root`, which is made absolute. */
export function layoutOf(root: string): StoreLayout {
  const absolute = resolve(root);
  const stateDir = join(absolute, "nix/var/nix");
  const databaseDir = join(stateDir, "db");
  const gcRootsDir = join(stateDir, "gcroots");
  return {
    root: absolute,
    storeDir: join(absolute, "nix/store"),
    stateDir,
    logDir: join(absolute, "nix/var/log/nix/drvs"),
    databaseDir,
    database: join(databaseDir, "db.sqlite"),
    schemaFile: join(databaseDir, "schema"),
    caSchemaFile: join(databaseDir, "ca-schema"),
    reserved: join(databaseDir, "reserved"),
    gcLock: join(stateDir, "gc.lock"),
    gcSocket: join(stateDir, "gc-socket/socket"),
    tempRootsDir: join(stateDir, "temproots"),
    gcRootsDir,
    autoRootsDir: join(gcRootsDir, "auto"),
    profilesDir: join(stateDir, "profiles"),
    workDir: join(stateDir, "tsbuild-top"),
  };
}

/** A store path's place on disk. */
export function realPathOf(layout: StoreLayout, path: StorePath): string {
  return `${layout.storeDir}/${baseNameOf(path)}`;
}

/** The plain log file of a derivation (Nix's form with `compress-build-log = false`). */
export function logFileOf(layout: StoreLayout, drvPath: StorePath): string {
  const base = baseNameOf(drvPath);
  return `${layout.logDir}/${base.slice(0, 2)}/${base.slice(2)}`;
}

/**
 * Creates the directories of a store, as Nix does when it opens one; safe to repeat and to run in several processes.
 * @throws EngineError `STORE_UNWRITABLE`, `STORE_SPLIT` (store and state on different file systems, so nothing could be renamed
 * into place), `STORE_SCHEMA_UNSUPPORTED`.
 */
export function createLayout(layout: StoreLayout): void {
  try {
    for (const dir of [
      layout.storeDir,
      join(layout.storeDir, ".links"),
      layout.databaseDir,
      layout.tempRootsDir,
      join(layout.profilesDir, "per-user"),
      layout.workDir,
    ]) {
      makeDirectories(dir);
    }
    if (!existsSync(layout.gcRootsDir)) {
      makeDirectories(layout.gcRootsDir);
      linkIfAbsent(layout.profilesDir, join(layout.gcRootsDir, "profiles"));
    }
    makeDirectories(layout.autoRootsDir);
    makeDirectories(join(layout.gcRootsDir, "per-user"));
    chmodSync(layout.workDir, 0o700);
  } catch (cause) {
    throw new EngineError(
      "store",
      "STORE_UNWRITABLE",
      `cannot create the store at '${layout.root}': ${String(cause)}`,
      {
        hint: "Choose a directory you may write to with --store DIR.",
        cause,
      },
    );
  }
  if (statSync(layout.storeDir).dev !== statSync(layout.workDir).dev) {
    throw new EngineError(
      "store",
      "STORE_SPLIT",
      `'${layout.storeDir}' and '${layout.stateDir}' are on different file systems; this store needs both on one`,
      { hint: "Use a store directory that lies on one file system, or the Nix daemon for this store." },
    );
  }
}

/** The schema's number, 0 for a store without one. Throws `STORE_SCHEMA_UNSUPPORTED` when the file does not contain a number. */
export function readSchemaNumber(layout: StoreLayout): number {
  let text: string;
  try {
    text = readFileSync(layout.schemaFile, "utf8").trim();
  } catch {
    return 0;
  }
  // A crash between creating and writing the file leaves it empty.
  if (text === "") return 0;
  if (!/^\d{1,6}$/.test(text)) {
    throw new EngineError("store", "STORE_SCHEMA_UNSUPPORTED", `'${layout.schemaFile}' is corrupt: expected a number`);
  }
  return Number(text);
}

function linkIfAbsent(target: string, link: string): void {
  try {
    symlinkSync(target, link);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}
