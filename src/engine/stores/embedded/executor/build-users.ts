// Whom builders run as where this process is root: user ids that belong to nobody, each held by a lock while this process uses it.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { EngineError } from "../../../errors.ts";
import { flock, searchPath } from "../flock.ts";
import { openLockFile } from "../path-locks.ts";
import { asUser } from "./drop-rights.ts";

/** A row of ids. */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** Above what accounts, containers of common sizes and Nix's own `auto-allocate-uids` (872415232, 8388608 of them) take. */
const WIDE: IdRange = { first: 889_192_448, count: 4096 };
/** Where only 65,536 ids exist (containers): systemd keeps these unused (UIDS-GIDS: 60706 to 61183). */
const NARROW: IdRange = { first: 60_706, count: 478 };

/** Locks lie where every program of this machine looks, whichever store it has open. */
const LOCKS = "/run/tsbuild-top/build-users";

/** A user id that is ours until it is released. */
export interface BuildUser {
  readonly uid: number;
  release(): void;
}

/**
 * The ids builders may get, null where this process cannot become anyone else: it is no root, or root of a user namespace of one id, whose
 * builds run with the rights of an ordinary user anyway.
 * @param idMap the text of `/proc/self/uid_map`
 */
export function buildIds(isRoot: boolean, idMap: string): IdRange | null {
  if (!isRoot) return null;
  const rows = idMap
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const isMapped = ({ first, count }: IdRange): boolean =>
    rows.some(([inside = 0, , size = 0]) => inside <= first && first + count <= inside + size);
  return [WIDE, NARROW].find(isMapped) ?? null;
}

/** Whether an id is nobody's: neither an account's (`/etc/passwd`) nor among those given to one (`/etc/subuid`). */
export function isNobodys(uid: number, passwd: string, subuid: string): boolean {
  const accounts = passwd.split("\n").map((line) => line.split(":")[2]);
  if (accounts.includes(String(uid))) return false;
  return !subuid.split("\n").some((line) => {
    const [, first, count] = line.split(":").map(Number);
    return first !== undefined && count !== undefined && uid >= first && uid < first + count;
  });
}

/** Ids locked by this process, those at rest last; an id is kept, because locking another costs a process. */
const resting: number[] = [];
const held = new Map<number, number>();

/**
 * Takes an id nobody else uses, after ending what an earlier holder has left running under it.
 * @throws EngineError `EXECUTOR_NO_BUILD_USER`, `STORE_FLOCK_FAILED`
 */
export async function takeBuildUser(range: IdRange): Promise<BuildUser> {
  const rested = resting.pop();
  if (rested !== undefined) return userOf(rested);
  const passwd = readIfThere("/etc/passwd");
  const subuid = readIfThere("/etc/subuid");
  mkdirSync(LOCKS, { recursive: true, mode: 0o700 });
  for (let uid = range.first; uid < range.first + range.count; uid++) {
    if (held.has(uid) || !isNobodys(uid, passwd, subuid)) continue;
    const descriptor = openLockFile(`${LOCKS}/${uid}.lock`);
    // Marked at once: another build of this process may be looking for one, too.
    held.set(uid, descriptor);
    if (await flock([descriptor], "exclusive", false)) {
      await endAllOf(uid);
      return userOf(uid);
    }
    held.delete(uid);
    closeSync(descriptor);
  }
  throw new EngineError(
    "build",
    "EXECUTOR_NO_BUILD_USER",
    `no user id between ${range.first} and ${range.first + range.count - 1} is free to run a build as`,
    { hint: `Other programs hold them by locks in ${LOCKS}, or accounts have them (/etc/passwd, /etc/subuid).` },
  );
}

function userOf(uid: number): BuildUser {
  let mine = true;
  return {
    uid,
    release: () => {
      if (mine) resting.push(uid);
      mine = false;
    },
  };
}

/** Kills every process of a user (Nix: `killUser`). */
export function endAllOf(uid: number): Promise<void> {
  if (!hasProcesses(uid)) return Promise.resolve();
  const [program = "", ...args] = [...asUser(uid), "/bin/sh", "-c", "kill -KILL -1"];
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "ignore", env: { PATH: searchPath() }, cwd: "/" });
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
}

function hasProcesses(uid: number): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return statSync(`/proc/${name}`).uid === uid;
    } catch {
      return false;
    }
  });
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
