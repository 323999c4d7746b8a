// The users that builders run as when this process is root: unassigned user ids, each held by a lock while this process uses it.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { makeDirectories } from "../../../../base/directories.ts";
import { EngineError } from "../../../../base/errors.ts";
import { hasCode } from "../../files/file-tree.ts";
import { flock, searchPath } from "../../files/flock.ts";
import { openLockFile } from "../../files/path-locks.ts";
import { asUser } from "../sandbox/drop-rights.ts";

/** A range of ids. */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** Above the ids of accounts, of containers of common sizes and of Nix's own `auto-allocate-uids` (872415232, 8388608 of them). */
const WIDE: IdRange = { first: 889_192_448, count: 4096 };
/** When only 65,536 ids exist (containers): systemd keeps these unused (UIDS-GIDS: 60706 to 61183). */
const NARROW: IdRange = { first: 60_706, count: 478 };

/**
 * All programs of this machine look for locks here, for any store. Containers that share the machine's ids have separate `/run` directories
 * and do not see each other's locks: they begin at different ids, and skip those that processes elsewhere use.
 */
const LOCKS = "/run/tsbuild-top/build-users";

/** A user id that is ours until it is released. */
export interface BuildUser {
  readonly uid: number;
  release(): void;
}

/**
 * The ids for builders, null when this process cannot change its user: it is not root, or root of a user namespace with a single id, whose
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

/** Whether an id is unassigned: neither an account's (`/etc/passwd`) nor in a subordinate range (`/etc/subuid`). */
export function isNobodys(uid: number, passwd: string, subuid: string): boolean {
  const accounts = passwd.split("\n").map((line) => line.split(":")[2]);
  if (accounts.includes(String(uid))) return false;
  return !subuid.split("\n").some((line) => {
    const [, first, count] = line.split(":").map(Number);
    return first !== undefined && count !== undefined && uid >= first && uid < first + count;
  });
}

/**
 * The ids of a range in the order to try: the start follows from the place of the locks, so that processes that do not see each other's
 * locks rarely choose the same id.
 * @param place identifies a directory of locks
 */
export function idsInOrder(range: IdRange, place: string): number[] {
  const start = createHash("sha256").update(place).digest().readUInt32LE(0) % range.count;
  return Array.from({ length: range.count }, (_, index) => range.first + ((start + index) % range.count));
}

/** Idle ids locked by this process, most recently released last; they stay locked, because locking another costs a process. */
const resting: number[] = [];
const held = new Map<number, number>();

/**
 * Takes an unused id, after killing what an earlier holder has left running under it.
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
    // Marked at once: another build of this process may also be looking for an id.
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
 * Whether a locked id is free of processes, after killing what an earlier holder of the lock has left running. Processes under an id that was
 * was never locked here belong to somebody who locks elsewhere.
 */
async function isLeftToUs(uid: number, descriptor: number): Promise<boolean> {
  if (fstatSync(descriptor).size > 0) await endAllOf(uid);
  else ftruncateSync(descriptor, 1);
  return processesOf(uid).length === 0;
}

/** Kills every process of a user that this program's builds may have left (Nix: `killUser`): those in its own mount namespace. */
export async function endAllOf(uid: number): Promise<void> {
  // Each round may find processes that the previous one's have started meanwhile.
  for (let round = 0; round < 100; round++) {
    const all = processesOf(uid);
    const ours = all.filter(isInOurMounts);
    if (ours.length === 0) return;
    // One call for all of them leaves no time to fork, but would also reach those of another container.
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

/** The living processes of a user: one that has ended but has not been waited for has no mount namespace any more. */
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

/** Identifies a process's mount namespace, null when the process has ended. */
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
