// Kills a sandbox's starter together with what it is just starting: killing the starter alone may leave the other behind.
import { readFileSync } from "node:fs";

/** Maximum number of checks (about 10 µs each) that a process has stopped after the signal to stop. */
const LOOKS = 2_000;

/**
 * Kills a process group and the children of its leader. A starter (bubblewrap, unshare) puts the builder into its own session and has the
 * kernel kill it when the starter dies; but a child so young that it has not requested that yet would survive. So the leader is stopped
 * first, so that it starts nothing more, and its children are killed with it.
 */
export function killGroup(leader: number): void {
  signal(-leader, "SIGSTOP");
  for (let look = 0; look < LOOKS && stateOf(leader) !== "T"; look++) if (stateOf(leader) === null) break;
  const children = childrenOf(leader);
  signal(-leader, "SIGKILL");
  for (const child of children) signal(child, "SIGKILL");
}

/** Kills processes that are not already exiting, and returns whether there were any: their status is then this signal. */
export function killRunning(pids: readonly number[]): boolean {
  const running = pids.filter((pid) => !isEnding(pid));
  for (const pid of running) signal(pid, "SIGKILL");
  return running.length > 0;
}

/** Whether a process is exiting (PF_EXITING): it has closed its files, but its parent does not know yet. */
function isEnding(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  const flags = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6];
  return flags === undefined || (Number(flags) & 4) !== 0;
}

/** The state letter of a process, null when it is gone or only its status is left. */
function stateOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  // The name in parentheses may contain anything.
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  return state === "" || state === "Z" || state === "X" ? null : state;
}

/** The children of a process that still run. */
export function childrenOf(pid: number): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`).trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process is gone.
  }
}
