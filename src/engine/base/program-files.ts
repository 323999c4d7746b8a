// Where the program's own files that are started or read as files lie: beside the sources, in dist/, and beside the bundle.
import { fileURLToPath } from "node:url";

// The bundle is dist/program/*.js; this file is engine/base/program-files, two folders below the root of its tree.
const BUNDLED = /\/program\/[^/]+\.js$/.test(import.meta.url);
const ROOT = new URL(BUNDLED ? "../src/" : "../../", import.meta.url);
const EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** The path of a module of the program. @param module below `src`, without extension, such as `engine/commands/demo/book` */
export function programFile(module: string): string {
  return fileURLToPath(new URL(`${module}.${EXTENSION}`, ROOT));
}
