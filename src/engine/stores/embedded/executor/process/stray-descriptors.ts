// Finds the descriptors that whoever started this program left open, and that every child would inherit.
import { readdirSync, readFileSync } from "node:fs";

/** O_CLOEXEC as `/proc/self/fdinfo` shows it, in octal. */
const CLOSED_IN_CHILDREN = 0o2000000;

/** All above 2 that are not closed in children; Node opens none such itself. */
export function strayDescriptors(): number[] {
  return readdirSync("/proc/self/fdinfo")
    .map(Number)
    .filter((descriptor) => descriptor > 2 && isInherited(descriptor));
}

function isInherited(descriptor: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1"))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSED_IN_CHILDREN) === 0;
  } catch {
    // The one the directory was read by.
    return false;
  }
}
