// What dumping, canonicalising and removing trees share: paths as bytes, so that every file name works, and pauses for other work.
import { type Dirent, readdirSync } from "node:fs";
import type { ByteString } from "../../../formats/byte-string.ts";

/** A path as Node accepts it without decoding. */
export function pathBytes(path: ByteString): Buffer {
  return Buffer.from(path, "latin1");
}

/** A path from text (UTF-8) to a byte string. */
export function pathString(path: string): ByteString {
  return Buffer.from(path, "utf8").toString("latin1") as ByteString;
}

/** A path for messages. */
export function shownPath(path: ByteString): string {
  return pathBytes(path).toString("utf8");
}

/** An entry of a directory. */
export interface TreeEntry {
  readonly name: ByteString;
  readonly type: "file" | "directory" | "symlink" | "other";
}

/** The entries of a directory in no particular order. Throws the system's error. */
export function readEntries(directory: ByteString): TreeEntry[] {
  return readdirSync(pathBytes(directory), { withFileTypes: true, encoding: "buffer" }).map((entry) => ({
    name: entry.name.toString("latin1") as ByteString,
    type: typeOf(entry),
  }));
}

function typeOf(entry: Dirent<Buffer>): TreeEntry["type"] {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  if (entry.isSymbolicLink()) return "symlink";
  return "other";
}

/** How many file operations may run before other work gets its turn: a few milliseconds' worth. */
const OPERATIONS_PER_TURN = 256;

/** Counts blocking file operations and lets the rest of the program run from time to time. */
export class Turns {
  #done = 0;

  /** Whether it is time to let others run; then await {@link Turns.pause}. */
  due(): boolean {
    return ++this.#done >= OPERATIONS_PER_TURN;
  }

  pause(): Promise<void> {
    this.#done = 0;
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** Whether a thrown value is a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
