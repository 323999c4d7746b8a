// The fixed runs of tokens between the variable parts of a NAR, as bytes.
import type { ByteString } from "../byte-string.ts";
import { ByteWriter } from "../wire/writer.ts";

function run(...tokens: string[]): Uint8Array {
  const writer = new ByteWriter();
  for (const token of tokens) writer.byteString(token as ByteString);
  return Uint8Array.from(writer.finish());
}

/** `nix-archive-1`, the first token (Nix manual, Nix Archive format). */
export const MAGIC = run("nix-archive-1");
/** The beginning of every node, up to the word that names its kind. */
export const NODE = run("(", "type");
export const REGULAR = run("regular");
export const SYMLINK_TARGET = run("symlink", "target");
export const DIRECTORY = run("directory");
/** The mark of an executable file, with its empty value. */
export const EXECUTABLE = run("executable", "");
export const CONTENTS = run("contents");
export const CLOSE = run(")");
export const ENTRY_NAME = run("entry", "(", "name");
export const ENTRY_NODE = run("node");
/** The end of an entry's node and of the entry: what follows a file or symlink inside a directory. */
export const CLOSE_ENTRY = run(")", ")");
