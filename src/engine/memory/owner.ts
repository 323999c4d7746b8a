// Which process a file belongs to, and whether that still lives: boot, number and start together are never used again.
import { readFileSync } from "node:fs";

/** Names a process for ever. */
export interface Owner {
  /** The beginning of the system's boot id, empty where it has none. */
  readonly boot: string;
  readonly pid: number;
  /** Ticks from boot to the start of the process, empty where that is not known. */
  readonly start: string;
}

/** This process. */
export function thisProcess(): Owner {
  return ownerOf(process.pid);
}

/** A process by its number; without a start where it is gone. */
export function ownerOf(pid: number): Owner {
  return { boot: bootOf(), pid, start: startOf(pid) };
}

/** Whether a process still lives. */
export function isAlive({ boot, pid, start }: Owner): boolean {
  if (boot !== bootOf()) return false;
  const now = startOf(pid);
  if (start !== "" || now !== "") return start === now;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // No permission means that it is there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The owner as one word. */
export function printOwner({ boot, pid, start }: Owner): string {
  return `${boot}-${pid}-${start}`;
}

/** Null for what is no owner. */
export function parseOwner(text: string): Owner | null {
  const [, boot = "", pid = "", start = ""] = /^([0-9a-f]*)-(\d{1,10})-(\d*)$/.exec(text.trim()) ?? [];
  return pid === "" ? null : { boot, pid: Number(pid), start };
}

function bootOf(): string {
  return readOr("/proc/sys/kernel/random/boot_id").slice(0, 8);
}

/** Field 22 of `/proc/PID/stat` (proc(5)); the name before it may hold anything. */
function startOf(pid: number): string {
  const stat = readOr(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function readOr(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
