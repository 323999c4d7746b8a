// Hashes derivations modulo their fixed outputs, and computes from these hashes the paths of outputs and of `.drv` files.
import { EngineError } from "../base/errors.ts";
import type { ByteString } from "../formats/byte-string.ts";
import { byteStringOf, toBytes } from "../formats/byte-string.ts";
import { contentAddressedPath, printMethodAlgorithm } from "../formats/content-address.ts";
import { type Hash, hashBytes, parseHash, printHash } from "../formats/hash.ts";
import { makeOutputPath, makeTextPath, outputPathName } from "../formats/make-store-path.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { Derivation, DerivationInput, DerivationOutput } from "./derivation.ts";
import { printDerivation, printDerivationText } from "./print.ts";

/**
 * A derivation's hash modulo fixed outputs (Nix: `DrvHash`). Output paths follow from `known` hashes; `deferred` means that the derivation
 * needs an output addressed by contents not known yet, so that input-addressed outputs have no paths until it is resolved.
 */
export interface HashModulo {
  readonly type: "known" | "deferred";
  /** Output name → SHA-256 in hex. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** The hash modulo (unmasked) of an input derivation. */
export type InputHashes = (drvPath: StorePath) => HashModulo;

const NO_DYNAMIC: ReadonlyMap<string, DerivationInput> = new Map();

/**
 * The hash modulo of a derivation (Nix: `hashDerivationModulo`). With `maskOutputs`, output paths and the variables named like outputs are blank:
 * output paths follow from this masked hash. As an input of other derivations it is unmasked. Throws `DRV_MISSING_OUTPUT`.
 */
export function hashDerivationModulo(
  derivation: Derivation,
  inputHashes: InputHashes,
  maskOutputs: boolean,
): HashModulo {
  const fixed = fixedHashes(derivation);
  if (fixed !== null) return { type: "known", outputs: fixed };
  let type: HashModulo["type"] = "known";
  for (const output of derivation.outputs.values()) {
    if (output.type === "floating" || output.type === "impure") type = "deferred";
  }
  const byHash = new Map<string, Set<string>>();
  for (const [drvPath, input] of derivation.inputDrvs) {
    const hashes = inputHashes(drvPath);
    if (hashes.type === "deferred") type = "deferred";
    for (const output of input.outputs) {
      const hash = hashes.outputs.get(output);
      if (hash === undefined) throw missingOutput(derivation.name, drvPath, output);
      const names = byHash.get(hash);
      if (names === undefined) byHash.set(hash, new Set([output]));
      else names.add(output);
    }
  }
  const inputs = new Map<string, DerivationInput>();
  for (const [hash, outputs] of byHash) inputs.set(hash, { outputs, dynamic: NO_DYNAMIC });
  const text = printDerivationText(derivation, { maskOutputs, inputs });
  const hash = printHash(hashBytes("sha256", toBytes(text)), "hex", false);
  return { type, outputs: new Map([...derivation.outputs.keys()].map((name) => [name, hash])) };
}

/** Returns the unmasked hashes modulo of derivations that `load` supplies, each computed once. Deep chains do not exhaust the stack. */
export function createInputHashes(load: (drvPath: StorePath) => Derivation): InputHashes {
  const done = new Map<StorePath, HashModulo>();
  const known: InputHashes = (drvPath) => done.get(drvPath)!;
  return (root) => {
    const stack: { readonly drvPath: StorePath; readonly derivation: Derivation }[] = [];
    const entered = new Set<StorePath>();
    const enter = (drvPath: StorePath) => {
      if (entered.has(drvPath)) throw new EngineError("format", "DRV_CYCLE", `derivation '${drvPath}' needs itself`);
      entered.add(drvPath);
      stack.push({ drvPath, derivation: load(drvPath) });
    };
    if (!done.has(root)) enter(root);
    while (stack.length > 0) {
      const { drvPath, derivation } = stack.at(-1)!;
      // Fixed outputs hide their inputs, so there is no need to look at those.
      const needed = fixedHashes(derivation) === null ? [...derivation.inputDrvs.keys()] : [];
      const missing = needed.find((input) => !done.has(input));
      if (missing !== undefined) {
        enter(missing);
        continue;
      }
      done.set(drvPath, hashDerivationModulo(derivation, known, false));
      entered.delete(drvPath);
      stack.pop();
    }
    return known(root);
  };
}

/**
 * The paths that follow from a derivation; null for outputs whose contents decide. Always computed: the paths stated in the derivation
 * are not trusted.
 */
export function computeOutputPaths(derivation: Derivation, inputHashes: InputHashes): Map<string, StorePath | null> {
  let modulo: HashModulo | null = null;
  const paths = new Map<string, StorePath | null>();
  for (const [name, output] of derivation.outputs) {
    switch (output.type) {
      case "fixed":
        paths.set(name, fixedOutputPath(derivation.name, name, output));
        break;
      case "floating":
      case "impure":
        paths.set(name, null);
        break;
      case "inputAddressed":
      case "deferred":
        modulo ??= hashDerivationModulo(derivation, inputHashes, true);
        paths.set(
          name,
          modulo.type === "deferred" ? null : makeOutputPath(name, outputHash(modulo, name), derivation.name),
        );
    }
  }
  return paths;
}

/** The derivation with the output paths (and variables named like outputs) that follow from it filled in (Nix: `fillInOutputPaths`). */
export function fillOutputPaths(derivation: Derivation, inputHashes: InputHashes): Derivation {
  const outputs = new Map<string, DerivationOutput>();
  const env = new Map<ByteString, ByteString>(derivation.env);
  for (const [name, path] of computeOutputPaths(derivation, inputHashes)) {
    const output = derivation.outputs.get(name)!;
    if (path === null) {
      outputs.set(name, output);
      continue;
    }
    outputs.set(name, output.type === "fixed" ? { ...output, path } : { type: "inputAddressed", path });
    env.set(byteStringOf(name), byteStringOf(path));
  }
  return { ...derivation, outputs, env };
}

/** The paths a derivation states for its outputs, null where it states none. */
export function statedOutputPaths(derivation: Pick<Derivation, "outputs">): Map<string, StorePath | null> {
  const paths = new Map<string, StorePath | null>();
  for (const [name, output] of derivation.outputs) paths.set(name, "path" in output ? output.path : null);
  return paths;
}

/** Outputs whose stated path differs from the one that follows from the derivation; Nix refuses such a derivation. */
export function wrongOutputPaths(
  derivation: Derivation,
  inputHashes: InputHashes,
): { readonly name: string; readonly stated: StorePath | null; readonly computed: StorePath | null }[] {
  const computed = computeOutputPaths(derivation, inputHashes);
  const wrong: { name: string; stated: StorePath | null; computed: StorePath | null }[] = [];
  for (const [name, stated] of statedOutputPaths(derivation)) {
    const path = computed.get(name) ?? null;
    if (path !== stated) wrong.push({ name, stated, computed: path });
  }
  return wrong;
}

/** The path of the `.drv` file: that of a text with the input sources and input derivations as references. */
export function derivationStorePath(derivation: Derivation): StorePath {
  return derivationTextPath(derivation, printDerivation(derivation));
}

/** Like {@link derivationStorePath}, for bytes already printed. */
export function derivationTextPath(derivation: Derivation, bytes: Uint8Array): StorePath {
  return makeTextPath(`${derivation.name}.drv`, hashBytes("sha256", bytes), derivationReferences(derivation));
}

/** The references of a `.drv` file: input sources and input derivations, sorted. */
export function derivationReferences(derivation: Derivation): StorePath[] {
  return [...new Set([...derivation.inputSrcs, ...derivation.inputDrvs.keys()])].sort();
}

/** The path of a fixed output. */
export function fixedOutputPath(
  derivationName: string,
  outputName: string,
  output: Extract<DerivationOutput, { type: "fixed" }>,
): StorePath {
  const hash = parseHash(output.hash, output.algorithm);
  return contentAddressedPath(outputPathName(derivationName, outputName), { method: output.method, hash });
}

/** The id under which Nix records the path of a realised output: `sha256:<hex>!<name>`, from the masked hash of the derivation. */
export function realisationId(modulo: HashModulo, outputName: string): string {
  return `${printHash(outputHash(modulo, outputName), "hex", true)}!${outputName}`;
}

/** Output → hash when all outputs are fixed, else null. */
function fixedHashes(derivation: Derivation): Map<string, string> | null {
  const hashes = new Map<string, string>();
  for (const [name, output] of derivation.outputs) {
    if (output.type !== "fixed") return null;
    const address = printMethodAlgorithm(output.method, output.algorithm);
    const path = fixedOutputPath(derivation.name, name, output);
    const text = `fixed:out:${address}:${output.hash}:${path}`;
    hashes.set(name, printHash(hashBytes("sha256", text), "hex", false));
  }
  return hashes.size === 0 ? null : hashes;
}

function outputHash(modulo: HashModulo, name: string): Hash {
  return parseHash(modulo.outputs.get(name)!, "sha256");
}

function missingOutput(name: string, drvPath: StorePath, output: string): EngineError {
  return new EngineError(
    "format",
    "DRV_MISSING_OUTPUT",
    `derivation '${name}' needs the output '${output}' of '${drvPath}', which has no such output`,
  );
}
