// Takes flock(2) locks, which Node cannot: a short-lived `flock` program locks inherited descriptors, and since such a lock
// belongs to the open file and not to a process, it remains here after that program has ended.
import { spawn } from "node:child_process";
import { EngineError, messageOf } from "../../../base/errors.ts";

/** A `shared` lock can have many holders at once. */
export type LockKind = "shared" | "exclusive";

/** util-linux and busybox both exit with 1 when somebody else holds a lock. */
const HELD_BY_ANOTHER = 1;

/**
 * Locks open files in the given order, either all or without effect: after false close the descriptors, some may be locked.
 * With `wait` false it returns false when somebody else holds any of them; with `wait` true it waits, and aborting the signal rejects with its
 * reason. Closing a descriptor unlocks it.
 * @throws EngineError `STORE_FLOCK_FAILED`.
 */
export function flock(
  descriptors: readonly number[],
  kind: LockKind,
  wait: boolean,
  signal: AbortSignal | null = null,
): Promise<boolean> {
  if (descriptors.length === 0) return Promise.resolve(true);
  const flags = [kind === "shared" ? "-s" : "-x", ...(wait ? [] : ["-n"])];
  const numbers = descriptors.map((_, index) => String(index + 3));
  const [program, args] =
    numbers.length === 1
      ? ["flock", [...flags, numbers[0]!]]
      : ["/bin/sh", ["-c", 'for fd; do flock $FLAGS "$fd" || exit; done', "sh", ...numbers]];
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "ignore", ...descriptors],
      env: { PATH: searchPath(), FLAGS: flags.join(" ") },
      detached: true,
    });
    // The whole group, because the shell waits for the program it started.
    const abort = (): void => {
      if (child.pid !== undefined) killGroup(child.pid);
    };
    signal?.addEventListener("abort", abort, { once: true });
    child.once("error", (cause) => {
      signal?.removeEventListener("abort", abort);
      reject(failed(`cannot run '${program}': ${messageOf(cause)}`, cause));
    });
    child.once("exit", (code, killedBy) => {
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted === true) reject(signal.reason);
      else if (code === 0) resolve(true);
      else if (code === HELD_BY_ANOTHER && !wait) resolve(false);
      else reject(failed(`'flock' ended with ${killedBy ?? `status ${code}`}`));
    });
  });
}

/** The directories of system programs, regardless of the user's PATH. */
export function searchPath(): string {
  const own = process.env.PATH ?? "";
  return `${own}${own === "" ? "" : ":"}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin`;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Already ended.
  }
}

function failed(message: string, cause?: unknown): EngineError {
  return new EngineError("store", "STORE_FLOCK_FAILED", `cannot lock a file of the store: ${message}`, {
    hint: "Install util-linux (or busybox), which has the program 'flock'.",
    cause,
  });
}
