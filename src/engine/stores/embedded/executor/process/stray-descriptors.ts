// Finds descriptors left open by the process that started this program, which every child would inherit.
import { readdirSync, readFileSync } from "node:fs";

/** O_CLOEXEC as `/proc/self/fdinfo` shows it, in octal. */
const CLOSED_IN_CHILDREN = 0o2000000;

/** All above 2 that children inherit; Node itself opens none of these. */
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
    // The descriptor for reading the directory itself.
    return false;
  }
}
