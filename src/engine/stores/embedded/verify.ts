// Compares the database with the disk (Nix: `nix-store --verify [--check-contents]`).
import { readdirSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { printHash } from "../../formats/hash.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";
import type { GcLock } from "./collector/gc-lock.ts";
import type { StoreDatabase } from "./database/database.ts";
import { hashPath } from "./files/dump.ts";
import { realPathOf, type StoreLayout } from "./layout.ts";

/** What is wrong with one path. */
export type StoreFault =
  /** Not on disk; no valid path refers to it, so it has been removed from the database. */
  | { readonly type: "forgotten"; readonly path: StorePath }
  /** Not on disk, but valid paths refer to it. */
  | { readonly type: "missing"; readonly path: StorePath; readonly referrers: readonly StorePath[] }
  /** On disk, but different from what was registered; hashes as `sha256:<nix32>`. */
  | { readonly type: "modified"; readonly path: StorePath; readonly expected: string; readonly found: string }
  /** On disk, but unreadable. */
  | { readonly type: "unreadable"; readonly path: StorePath; readonly reason: string };

/** The faults found. A store with only `forgotten` paths is sound again. */
export interface VerifyReport {
  readonly checked: number;
  readonly faults: readonly StoreFault[];
}

/** A fault in Nix's words. */
export function printFault(fault: StoreFault): string {
  switch (fault.type) {
    case "forgotten":
      return `path '${fault.path}' disappeared, removing from database...`;
    case "missing":
      return `path '${fault.path}' disappeared, but it still has valid referrers!`;
    case "modified":
      return `path '${fault.path}' was modified! expected hash '${fault.expected}', got '${fault.found}'`;
    case "unreadable":
      return `path '${fault.path}' cannot be read: ${fault.reason}`;
  }
}

/** Verifies every valid path; `checkContents` reads and hashes them all. */
export async function verifyStore(
  store: { readonly layout: StoreLayout; readonly database: StoreDatabase; readonly gcLock: GcLock },
  options: { readonly checkContents: boolean },
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const { layout, database } = store;
  const faults: StoreFault[] = [];
  let valid: StorePath[] = [];
  let present = new Set<string>();
  const read = (): void => {
    valid = database.allValidPaths().sort();
    present = new Set(readdirSync(layout.storeDir));
  };
  // While a collector runs, list and disk may not match, so the list is read while none runs; otherwise missing paths are checked again.
  if (!(await store.gcLock.whileNoCollector(read))) read();

  const missing = new Set(valid.filter((path) => !present.has(baseNameOf(path)) && database.isValid(path)));
  const needed = [...missing].filter((path) => database.referrersOf(path).some((referrer) => !missing.has(referrer)));
  const kept = database.closureOf(needed);
  for (const path of missing) {
    if (!kept.has(path)) continue;
    const referrers = database.referrersOf(path).filter((referrer) => referrer !== path);
    faults.push({ type: "missing", path, referrers });
  }
  const forgotten = [...missing].filter((path) => !kept.has(path));
  if (forgotten.length > 0) await forget(database, forgotten);
  for (const path of forgotten) faults.push({ type: "forgotten", path });

  if (options.checkContents) {
    for (const path of valid) {
      signal?.throwIfAborted();
      if (missing.has(path)) continue;
      const fault = await checkContents(layout, database, path);
      if (fault !== null) faults.push(fault);
    }
  }
  return { checked: valid.length, faults };
}

async function checkContents(
  layout: StoreLayout,
  database: StoreDatabase,
  path: StorePath,
): Promise<StoreFault | null> {
  const known = database.find(path);
  if (known === null) return null;
  try {
    const { narHash } = await hashPath(realPathOf(layout, path));
    if (Buffer.compare(narHash, known.info.narHash) === 0) return null;
    const show = (digest: Uint8Array): string => printHash({ algorithm: "sha256", digest }, "nix32", true);
    return { type: "modified", path, expected: show(known.info.narHash), found: show(narHash) };
  } catch (error) {
    // It may have been deleted meanwhile.
    return database.isValid(path) ? { type: "unreadable", path, reason: messageOf(error) } : null;
  }
}

/** Removes paths from the database, referrers first. */
function forget(database: StoreDatabase, paths: readonly StorePath[]): Promise<void> {
  return database.write(() => {
    const left = new Set(paths);
    const remove = database.statement("delete from ValidPaths where path = ?");
    const visit = (path: StorePath): void => {
      if (!left.delete(path)) return;
      for (const referrer of database.referrersOf(path)) visit(referrer);
      remove.run(path);
    };
    for (const path of paths) visit(path);
  });
}
