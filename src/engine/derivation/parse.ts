// Reads `.drv` files: ATerm bytes → Derivation.
import { EngineError, messageOf } from "../base/errors.ts";
import { AtermReader } from "../formats/aterm.ts";
import type { ByteString } from "../formats/byte-string.ts";
import { parseMethodAlgorithm } from "../formats/content-address.ts";
import { parseHash, printHash } from "../formats/hash.ts";
import { isStorePath, parseStorePath, type StorePath } from "../formats/store-path.ts";
import type { Derivation, DerivationInput, DerivationOutput } from "./derivation.ts";
import { fixedOutputPath } from "./hash-modulo.ts";
import { sortedMap, sortedSet } from "./sorted.ts";

/** Largest `.drv` file accepted, in bytes. Big ones carry scripts or structured attributes of a few MiB. */
export const MAX_DERIVATION_SIZE = 256 * 1024 * 1024;

/** Deepest nesting of dynamic dependencies. */
const MAX_DYNAMIC_DEPTH = 64;

const OUTPUT_NAME = /^[0-9a-zA-Z+\-._?=]{1,211}$/;
const NO_DYNAMIC: ReadonlyMap<string, DerivationInput> = new Map();

/**
 * Reads the bytes of a `.drv` file, `Derive(…)` or `DrvWithVersion("xp-dyn-drv",…)` (Nix manual, derivation ATerm format). `name` is the
 * derivation's name, without `.drv`. What Nix would sort on reading is sorted; repeated outputs, inputs and variables are errors.
 * Throws `ATERM_MALFORMED` with byte offset, what was expected and what was found.
 */
export function parseDerivation(bytes: Uint8Array, name: string): Derivation {
  const reader = new AtermReader(bytes, `${name}.drv`);
  if (bytes.length > MAX_DERIVATION_SIZE) throw reader.fail(`at most ${MAX_DERIVATION_SIZE} bytes`);
  const dynamic = parseHead(reader);
  const outputs = new Map<string, DerivationOutput>();
  reader.list(() => parseOutput(reader, outputs));
  for (const [output, made] of outputs) refuseForeignPath(name, output, made);
  reader.expect(",");
  const inputDrvs = new Map<StorePath, DerivationInput>();
  reader.list(() => parseInput(reader, dynamic, inputDrvs));
  reader.expect(",");
  const inputSrcs = new Set<StorePath>();
  reader.list(() => addNew(reader, inputSrcs, parsePath(reader), "an input source that is not there yet"));
  reader.expect(",");
  const platform = reader.string();
  reader.expect(",");
  const builder = reader.string();
  reader.expect(",");
  const args: ByteString[] = [];
  reader.list(() => args.push(reader.string()));
  reader.expect(",");
  const env = new Map<ByteString, ByteString>();
  reader.list(() => parseVariable(reader, env));
  reader.expect(")");
  reader.end();
  return {
    name,
    outputs: sortedMap(outputs),
    inputDrvs: sortedMap(inputDrvs),
    inputSrcs: sortedSet(inputSrcs),
    platform,
    builder,
    args,
    env: sortedMap(env),
  };
}

/** The opening; true when dynamic dependencies are allowed. */
function parseHead(reader: AtermReader): boolean {
  if (reader.accept("Derive(")) return false;
  if (!reader.accept("DrvWithVersion(")) throw reader.fail("'Derive(' or 'DrvWithVersion('");
  const offset = reader.offset;
  if (reader.string() !== "xp-dyn-drv") throw reader.fail('the version "xp-dyn-drv"', offset);
  reader.expect(",");
  return true;
}

function parseOutput(reader: AtermReader, outputs: Map<string, DerivationOutput>): void {
  reader.expect("(");
  const offset = reader.offset;
  const name = parseOutputName(reader);
  if (outputs.has(name)) throw reader.fail("an output that is not there yet", offset);
  reader.expect(",");
  const triple = reader.offset;
  const path = reader.string();
  reader.expect(",");
  const address = reader.string();
  reader.expect(",");
  const hash = reader.string();
  reader.expect(")");
  try {
    outputs.set(name, outputFromTriple(path, address, hash));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw reader.fail(`path, hash algorithm and hash of an output (${messageOf(error)})`, triple, error);
  }
}

/** A fixed output's path follows from its hash (Nix computes it too, and refuses any other: derivations.cc, `checkInvariants`). */
function refuseForeignPath(name: string, output: string, made: DerivationOutput): void {
  if (made.type !== "fixed") return;
  const expected = fixedOutputPath(name, output, made);
  if (made.path === expected) return;
  throw new EngineError(
    "format",
    "DRV_BAD_OUTPUT",
    `derivation '${name}.drv' has incorrect output '${made.path}', should be '${expected}'`,
    { hint: "a fixed output lies where its hash says: evaluate again" },
  );
}

/**
 * The output for a path, `[r:|text:|git:]algorithm` and hash (or `impure`), as `.drv` files and the wire protocols write them.
 * Throws `DRV_BAD_OUTPUT`, or the error of the malformed part.
 */
export function outputFromTriple(path: string, address: string, hash: string): DerivationOutput {
  if (address === "") {
    if (hash !== "") throw badOutput("a hash without an algorithm");
    return path === "" ? { type: "deferred" } : { type: "inputAddressed", path: parseStorePath(path) };
  }
  const { method, algorithm } = parseMethodAlgorithm(address);
  if (hash !== "" && hash !== "impure") {
    return {
      type: "fixed",
      method,
      algorithm,
      hash: printHash(parseHash(hash, algorithm), "hex", false),
      path: parseStorePath(path),
    };
  }
  if (path !== "") throw badOutput("a path where contents decide it");
  return hash === "" ? { type: "floating", method, algorithm } : { type: "impure", method, algorithm };
}

function parseInput(reader: AtermReader, dynamic: boolean, inputs: Map<StorePath, DerivationInput>): void {
  reader.expect("(");
  const offset = reader.offset;
  const drvPath = parsePath(reader);
  if (inputs.has(drvPath)) throw reader.fail("an input derivation that is not there yet", offset);
  reader.expect(",");
  inputs.set(drvPath, parseInputOutputs(reader, dynamic, 0));
  reader.expect(")");
}

function parseInputOutputs(reader: AtermReader, dynamic: boolean, depth: number): DerivationInput {
  if (!dynamic || !reader.accept("(")) return { outputs: parseOutputNames(reader), dynamic: NO_DYNAMIC };
  if (depth >= MAX_DYNAMIC_DEPTH) throw reader.fail(`at most ${MAX_DYNAMIC_DEPTH} nested dynamic dependencies`);
  const outputs = parseOutputNames(reader);
  reader.expect(",");
  const nested = new Map<string, DerivationInput>();
  reader.list(() => {
    reader.expect("(");
    const offset = reader.offset;
    const name = parseOutputName(reader);
    if (nested.has(name)) throw reader.fail("an output that is not there yet", offset);
    reader.expect(",");
    nested.set(name, parseInputOutputs(reader, dynamic, depth + 1));
    reader.expect(")");
  });
  reader.expect(")");
  return { outputs, dynamic: sortedMap(nested) };
}

function parseOutputNames(reader: AtermReader): Set<string> {
  const names = new Set<string>();
  reader.list(() => addNew(reader, names, parseOutputName(reader), "an output that is not there yet"));
  return sortedSet(names);
}

function parseVariable(reader: AtermReader, env: Map<ByteString, ByteString>): void {
  reader.expect("(");
  const offset = reader.offset;
  const name = reader.string();
  if (env.has(name)) throw reader.fail("a variable that is not there yet", offset);
  reader.expect(",");
  env.set(name, reader.string());
  reader.expect(")");
}

function parseOutputName(reader: AtermReader): string {
  const offset = reader.offset;
  const name = reader.string();
  if (!OUTPUT_NAME.test(name)) throw reader.fail("an output name", offset);
  return name;
}

function parsePath(reader: AtermReader): StorePath {
  const offset = reader.offset;
  const path: string = reader.string();
  if (!isStorePath(path)) throw reader.fail("a store path", offset);
  return path;
}

function addNew<T>(reader: AtermReader, set: Set<T>, value: T, expected: string): void {
  if (set.has(value)) throw reader.fail(expected);
  set.add(value);
}

function badOutput(found: string): EngineError {
  return new EngineError("format", "DRV_BAD_OUTPUT", `expected an output of a known kind, found ${found}`);
}
