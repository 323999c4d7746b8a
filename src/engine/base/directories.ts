// Makes a directory and its parents. Node's recursive mkdir never returns where the parent exists but mkdir below it reports ENOENT (/proc).
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** True when the directory was made, false when it existed. Throws mkdir's error. @param mode of every directory that is made */
export function makeDirectories(path: string, mode = 0o777): boolean {
  try {
    return makeOne(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if (!isMissing(error) || parent === path) throw error;
    makeDirectories(parent, mode);
  }
  return makeOne(path, mode);
}

function makeOne(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (isDirectory(path)) return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
