// The parts of a NAR in stream order, their limits, and the rules for names and targets.
import type { ByteString } from "../byte-string.ts";

/**
 * One step through an archive. The root has the empty name. A `directory` is followed by its entries and `endDirectory`; a `file` by
 * `contents` events that add up to `size` bytes, then `endFile`. Entries of a directory are sorted bytewise by name and unique.
 */
export type NarEvent =
  | { readonly type: "directory"; readonly name: ByteString }
  | { readonly type: "endDirectory" }
  | { readonly type: "symlink"; readonly name: ByteString; readonly target: ByteString }
  | { readonly type: "file"; readonly name: ByteString; readonly executable: boolean; readonly size: number }
  | { readonly type: "contents"; readonly bytes: Uint8Array }
  | { readonly type: "endFile" };

/** Longest entry name in bytes; no file system in use has longer ones. */
export const MAX_NAME_LENGTH = 1023;

/** Longest symlink target in bytes: PATH_MAX with its final NUL. */
export const MAX_TARGET_LENGTH = 4095;

/** Deepest nesting of directories; a path of PATH_MAX bytes has at most half as many components. */
export const MAX_DEPTH = 2048;

/** Why a name is not allowed in a directory, or null when it is. */
export function nameFault(name: ByteString): string | null {
  if (name === "") return "an empty name";
  if (name === "." || name === "..") return `the name '${name}'`;
  if (name.length > MAX_NAME_LENGTH) return `a name of ${name.length} bytes`;
  if (name.includes("/")) return `a name with a slash, ${JSON.stringify(name)}`;
  if (name.includes("\0")) return `a name with a NUL byte, ${JSON.stringify(name)}`;
  return null;
}

/** Why a symlink may not have this target, or null when it may. */
export function targetFault(target: ByteString): string | null {
  if (target === "") return "an empty target";
  if (target.length > MAX_TARGET_LENGTH) return `a target of ${target.length} bytes`;
  if (target.includes("\0")) return `a target with a NUL byte, ${JSON.stringify(target)}`;
  return null;
}
