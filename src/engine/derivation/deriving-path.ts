// What can be asked for: a store path, or outputs of a derivation, which may itself be an output; in both of Nix's notations.
import { EngineError } from "../errors.ts";
import { isStorePath, type StorePath } from "../formats/store-path.ts";

/** A store path, or one output of a derivation that is such a path itself (Nix: `SingleDerivedPath`). */
export type SingleDerivingPath = StorePath | { readonly drvPath: SingleDerivingPath; readonly output: string };

/** A store path, or some or all outputs of a derivation (Nix: `DerivedPath`). */
export type DerivingPath =
  | { readonly type: "opaque"; readonly path: StorePath }
  | { readonly type: "built"; readonly drvPath: SingleDerivingPath; readonly outputs: "all" | readonly string[] };

/** `^` is what users write, `!` what the protocols and `nix-store` write. */
export type OutputSeparator = "^" | "!";

const OUTPUT_NAME = /^[0-9a-zA-Z+\-._?=]+$/;
const MAX_LENGTH = 4096;

/** Reads `path`, `drv^out1,out2`, `drv^*`, `drv^out^out2`, or the same with `!`; throws `DERIVING_PATH_MALFORMED`. */
export function parseDerivingPath(text: string, separator: OutputSeparator): DerivingPath {
  if (text.length > MAX_LENGTH) throw malformed(text, `at most ${MAX_LENGTH} characters`, `${text.length}`);
  const at = text.lastIndexOf(separator);
  if (at < 0) return { type: "opaque", path: parsePath(text, text) };
  const drvPath = parseSingle(text, text.slice(0, at), separator);
  const wanted = text.slice(at + 1);
  if (wanted === "*") return { type: "built", drvPath, outputs: "all" };
  const outputs = wanted.split(",");
  for (const output of outputs) checkOutput(text, output);
  return { type: "built", drvPath, outputs: [...new Set(outputs)] };
}

/** Prints a deriving path. */
export function printDerivingPath(path: DerivingPath, separator: OutputSeparator): string {
  if (path.type === "opaque") return path.path;
  const outputs = path.outputs === "all" ? "*" : path.outputs.join(",");
  return printSingleDerivingPath(path.drvPath, separator) + separator + outputs;
}

/** Prints a single deriving path. */
export function printSingleDerivingPath(path: SingleDerivingPath, separator: OutputSeparator): string {
  return typeof path === "string"
    ? path
    : `${printSingleDerivingPath(path.drvPath, separator)}${separator}${path.output}`;
}

/** The store path at the bottom. */
export function basePathOf(path: SingleDerivingPath): StorePath {
  let base = path;
  while (typeof base !== "string") base = base.drvPath;
  return base;
}

function parseSingle(whole: string, text: string, separator: OutputSeparator): SingleDerivingPath {
  const [path, ...outputs] = text.split(separator);
  let single: SingleDerivingPath = parsePath(whole, path!);
  for (const output of outputs) {
    checkOutput(whole, output);
    single = { drvPath: single, output };
  }
  // Only derivations have outputs; an output of an output is known to be one only when it has been built.
  if (outputs.length === 0 && !path!.endsWith(".drv"))
    throw malformed(whole, "a path ending in '.drv' before the outputs", `'${path}'`);
  return single;
}

function parsePath(whole: string, text: string): StorePath {
  if (!isStorePath(text)) throw malformed(whole, "a store path", `'${text.slice(0, 200)}'`);
  return text;
}

function checkOutput(whole: string, output: string): void {
  if (!OUTPUT_NAME.test(output)) throw malformed(whole, "an output name", `'${output.slice(0, 60)}'`);
}

function malformed(whole: string, expected: string, found: string): EngineError {
  return new EngineError(
    "format",
    "DERIVING_PATH_MALFORMED",
    `in '${whole.slice(0, 300)}': expected ${expected}, found ${found}`,
  );
}
