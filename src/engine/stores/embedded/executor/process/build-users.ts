// Whom builders run as where this process is root: user ids that belong to nobody, each held by a lock while this process uses it.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { makeDirectories } from "../../../../base/directories.ts";
import { EngineError } from "../../../../base/errors.ts";
import { hasCode } from "../../files/file-tree.ts";
import { flock, searchPath } from "../../files/flock.ts";
import { openLockFile } from "../../files/path-locks.ts";
import { asUser } from "../sandbox/drop-rights.ts";

/** A row of ids. */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** Above what accounts, containers of common sizes and Nix's own `auto-allocate-uids` (872415232, 8388608 of them) take. */
const WIDE: IdRange = { first: 889_192_448, count: 4096 };
/** Where only 65,536 ids exist (containers): systemd keeps these unused (UIDS-GIDS: 60706 to 61183). */
const NARROW: IdRange = { first: 60_706, count: 478 };

/**
 * Locks lie where every program of this machine looks, whichever store it has open. Containers that share the machine's ids have a `/run` each
 * and do not see each other's: they begin at different ids, and pass over those that processes elsewhere have.
 */
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

/**
 * The ids of a range in the order they are tried: from a place that follows from where the locks lie, so that those who do not see each other's
 * locks rarely come upon the same id.
 * @param place what tells one directory of locks from another
 */
export function idsInOrder(range: IdRange, place: string): number[] {
  const start = createHash("sha256").update(place).digest().readUInt32LE(0) % range.count;
  return Array.from({ length: range.count }, (_, index) => range.first + ((start + index) % range.count));
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
  makeDirectories(LOCKS, 0o700);
  const { dev, ino } = statSync(LOCKS);
  for (const uid of idsInOrder(range, `${dev}:${ino}`)) {
    if (held.has(uid) || !isNobodys(uid, passwd, subuid)) continue;
    const descriptor = openLockFile(`${LOCKS}/${uid}.lock`);
    // Marked at once: another build of this process may be looking for one, too.
    held.set(uid, descriptor);
    if ((await flock([descriptor], "exclusive", false)) && (await isLeftToUs(uid, descriptor))) return userOf(uid);
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

/**
 * Whether a locked id is free of processes, after ending what an earlier holder of the lock has left running. What runs under an id that was never
 * locked here belongs to somebody who locks elsewhere.
 */
async function isLeftToUs(uid: number, descriptor: number): Promise<boolean> {
  if (fstatSync(descriptor).size > 0) await endAllOf(uid);
  else ftruncateSync(descriptor, 1);
  return processesOf(uid).length === 0;
}

/** Kills every process of a user that this program's builds can have left (Nix: `killUser`): those in its own mount namespace. */
export async function endAllOf(uid: number): Promise<void> {
  // Each round may find what the one before has started meanwhile.
  for (let round = 0; round < 100; round++) {
    const all = processesOf(uid);
    const ours = all.filter(isInOurMounts);
    if (ours.length === 0) return;
    // One call for all of them leaves no gap to fork in, but would reach those of another container, too.
    if (ours.length === all.length) await killAsUser(uid);
    else for (const pid of ours) kill(pid);
  }
}

function killAsUser(uid: number): Promise<void> {
  const [program = "", ...args] = [...asUser(uid), "/bin/sh", "-c", "kill -KILL -1"];
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "ignore", env: { PATH: searchPath() }, cwd: "/" });
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
}

function kill(pid: string): void {
  try {
    process.kill(Number(pid), "SIGKILL");
  } catch (error) {
    if (!hasCode(error, "ESRCH", "EPERM")) throw error;
  }
}

/** The living processes of a user: one that has ended and is not yet waited for has no mount namespace any more. */
function processesOf(uid: number): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return statSync(`/proc/${name}`).uid === uid && mountsOf(name) !== null;
    } catch {
      return false;
    }
  });
}

function isInOurMounts(pid: string): boolean {
  return mountsOf(pid) === mountsOf("self");
}

/** What tells a process's mount namespace from others, null when the process has ended. */
function mountsOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
