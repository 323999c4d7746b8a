// Writes `.drv` files: Derivation → ATerm bytes, byte for byte as Nix writes them.
import { printPlainStrings, printString } from "../formats/aterm.ts";
import { type ByteString, toBytes } from "../formats/byte-string.ts";
import { printMethodAlgorithm } from "../formats/content-address.ts";
import type { Derivation, DerivationInput, DerivationOutput } from "./derivation.ts";
import { sortedMap, sortedSet } from "./sorted.ts";

/** How the text for hashing differs (Nix: `Derivation::unparse`). */
export interface PrintOptions {
  /** Leaves output paths and the variables named like outputs blank. */
  readonly maskOutputs: boolean;
  /** Replaces the input derivations: hash in hex → its outputs; null prints their paths. */
  readonly inputs: ReadonlyMap<string, DerivationInput> | null;
}

const AS_IT_IS: PrintOptions = { maskOutputs: false, inputs: null };

/** The bytes of the `.drv` file. What Nix sorts is sorted. The versioned form is used only for dynamic dependencies. */
export function printDerivation(derivation: Derivation): Uint8Array {
  return toBytes(printDerivationText(derivation, AS_IT_IS));
}

/** The text of the `.drv` file, or of one of its variants for hashing. */
export function printDerivationText(derivation: Derivation, options: PrintOptions): ByteString {
  const { maskOutputs } = options;
  const inputs: ReadonlyMap<string, DerivationInput> = sortedMap(options.inputs ?? derivation.inputDrvs);
  const isDynamic = [...derivation.inputDrvs.values()].some((input) => input.dynamic.size > 0);
  const parts = [
    isDynamic ? 'DrvWithVersion("xp-dyn-drv",[' : "Derive([",
    joined(sortedMap(derivation.outputs), (name, output) => printOutput(name, output, maskOutputs)),
    "],[",
    joined(inputs, (key, input) => `("${key}",${printInput(input)})`),
    "],",
    printPlainStrings([...sortedSet(derivation.inputSrcs)]),
    `,"${derivation.platform}",`,
    printString(derivation.builder),
    ",[",
    derivation.args.map(printString).join(","),
    "],[",
    joined(sortedMap(derivation.env), (name, value) => {
      const masked = maskOutputs && derivation.outputs.has(name);
      return `(${printString(name)},${masked ? '""' : printString(value)})`;
    }),
    "])",
  ];
  return parts.join("") as ByteString;
}

/** Path, `[r:|text:|git:]algorithm` and hash (or `impure`) of an output, as `.drv` files and the wire protocols write it. */
export function outputToTriple(output: DerivationOutput): readonly [path: string, address: string, hash: string] {
  switch (output.type) {
    case "inputAddressed":
      return [output.path, "", ""];
    case "fixed":
      return [output.path, printMethodAlgorithm(output.method, output.algorithm), output.hash];
    case "floating":
      return ["", printMethodAlgorithm(output.method, output.algorithm), ""];
    case "deferred":
      return ["", "", ""];
    case "impure":
      return ["", printMethodAlgorithm(output.method, output.algorithm), "impure"];
  }
}

function printOutput(name: string, output: DerivationOutput, masked: boolean): string {
  const [path, address, hash] = outputToTriple(output);
  return `("${name}","${masked ? "" : path}","${address}","${hash}")`;
}

function printInput(input: DerivationInput): string {
  const outputs = printPlainStrings([...sortedSet(input.outputs)]);
  if (input.dynamic.size === 0) return outputs;
  return `(${outputs},[${joined(sortedMap(input.dynamic), (name, nested) => `("${name}",${printInput(nested)})`)}])`;
}

function joined<K, V>(map: ReadonlyMap<K, V>, print: (key: K, value: V) => string): string {
  const items: string[] = [];
  for (const [key, value] of map) items.push(print(key, value));
  return items.join(",");
}
