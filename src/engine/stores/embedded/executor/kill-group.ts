// Kills a sandbox's starter and what it starts at that very moment: killing the one alone may leave the other behind.
import { readFileSync } from "node:fs";

/** Looks (about 10 µs each) until a process that was told to stop has stopped. */
const LOOKS = 2_000;

/**
 * Kills a process group and the children of its leader. A starter (bubblewrap, unshare) puts the builder into a session of its own and has the
 * kernel kill it when the starter dies; but a child so young that it has not asked for that yet would go on for ever. So the leader is stopped
 * first, which ends its starting, and its children are killed with it.
 */
export function killGroup(leader: number): void {
  signal(-leader, "SIGSTOP");
  for (let look = 0; look < LOOKS && stateOf(leader) !== "T"; look++) if (stateOf(leader) === null) break;
  const children = childrenOf(leader);
  signal(-leader, "SIGKILL");
  for (const child of children) signal(child, "SIGKILL");
}

/** Kills the children of a process; those of its group that it did not start live on. */
export function killChildren(pid: number): void {
  for (const child of childrenOf(pid)) signal(child, "SIGKILL");
}

/** The state letter of a process, null when it is gone or only its status is left. */
function stateOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  // The name in brackets may hold anything.
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  return state === "" || state === "Z" || state === "X" ? null : state;
}

function childrenOf(pid: number): number[] {
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
    // Nothing of it is left.
  }
}
