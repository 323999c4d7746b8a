// Resolves derivations: replaces input derivations by the paths of their outputs, and placeholders by those paths.
import { EngineError } from "../base/errors.ts";
import { type ByteString, byteStringOf } from "../formats/byte-string.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { BasicDerivation, Derivation, DerivationInput } from "./derivation.ts";
import { fillOutputPaths, type InputHashes } from "./hash-modulo.ts";
import type { SingleDerivingPath } from "./placeholders.ts";
import { downstreamPlaceholder } from "./placeholders.ts";
import { sortedSet } from "./sorted.ts";

/** The path of an output if known, else null. */
export type OutputLookup = (drvPath: SingleDerivingPath, outputName: string) => StorePath | null;

/** A derivation ready to be sent to a builder, or the first output whose path is still missing. */
export type Resolution =
  | { readonly type: "resolved"; readonly derivation: BasicDerivation }
  | { readonly type: "missing"; readonly drvPath: SingleDerivingPath; readonly outputName: string };

/** Looks up chains of outputs in one table: `outputsOf` returns a derivation's outputs by its store path. */
export function chainedLookup(
  outputsOf: (drvPath: StorePath) => ReadonlyMap<string, StorePath | null> | null,
): OutputLookup {
  const lookup: OutputLookup = (drvPath, outputName) => {
    const path = typeof drvPath === "string" ? drvPath : lookup(drvPath.drvPath, drvPath.output);
    return path === null ? null : (outputsOf(path)?.get(outputName) ?? null);
  };
  return lookup;
}

/**
 * Replaces the input derivations by the paths of the used outputs, replaces the placeholders of those outputs, and gives deferred outputs
 * the paths that then follow (Nix: `Derivation::tryResolve`).
 */
export function resolveDerivation(derivation: Derivation, lookup: OutputLookup): Resolution {
  const rewrites = new Map<ByteString, ByteString>();
  const inputSrcs = new Set<StorePath>(derivation.inputSrcs);
  for (const [drvPath, input] of derivation.inputDrvs) {
    const missing = resolveInput(drvPath, input, lookup, inputSrcs, rewrites);
    if (missing !== null) return missing;
  }
  const plain: Derivation = {
    ...rewriteStrings(derivation, rewrites),
    inputDrvs: new Map(),
    inputSrcs: sortedSet(inputSrcs),
  };
  const { inputDrvs: _, ...resolved } = hasDeferredOutput(plain) ? fillDeferred(plain) : plain;
  return { type: "resolved", derivation: resolved };
}

/** Whether a derivation must be resolved before it can be built: one of its inputs has no path until built (Nix: `shouldResolve`). */
export function needsResolving(derivation: Derivation): boolean {
  if (derivation.inputDrvs.size === 0) return false;
  for (const output of derivation.outputs.values()) {
    if (output.type !== "inputAddressed" && output.type !== "fixed") return true;
  }
  for (const input of derivation.inputDrvs.values()) if (input.dynamic.size > 0) return true;
  return false;
}

function resolveInput(
  drvPath: SingleDerivingPath,
  input: DerivationInput,
  lookup: OutputLookup,
  inputSrcs: Set<StorePath>,
  rewrites: Map<ByteString, ByteString>,
): Resolution | null {
  for (const outputName of input.outputs) {
    const path = lookup(drvPath, outputName);
    if (path === null) return { type: "missing", drvPath, outputName };
    rewrites.set(downstreamPlaceholder(drvPath, outputName), byteStringOf(path));
    inputSrcs.add(path);
  }
  for (const [outputName, nested] of input.dynamic) {
    const missing = resolveInput({ drvPath, output: outputName }, nested, lookup, inputSrcs, rewrites);
    if (missing !== null) return missing;
  }
  return null;
}

function rewriteStrings(derivation: Derivation, rewrites: ReadonlyMap<ByteString, ByteString>): Derivation {
  const rewrite = (value: ByteString): ByteString => {
    // Placeholders begin with a slash and have 53 characters; shorter strings hold none.
    if (value.length < 53) return value;
    let result: string = value;
    for (const [from, to] of rewrites) result = result.replaceAll(from, () => to);
    return result as ByteString;
  };
  const env = new Map<ByteString, ByteString>();
  for (const [name, value] of derivation.env) {
    const rewritten = rewrite(name);
    if (!env.has(rewritten)) env.set(rewritten, rewrite(value));
  }
  return { ...derivation, builder: rewrite(derivation.builder), args: derivation.args.map(rewrite), env };
}

function hasDeferredOutput(derivation: Derivation): boolean {
  for (const output of derivation.outputs.values()) if (output.type === "deferred") return true;
  return false;
}

function fillDeferred(derivation: Derivation): Derivation {
  const noInputs: InputHashes = (drvPath) => {
    throw new EngineError(
      "internal",
      "DRV_NOT_RESOLVED",
      `a resolved derivation has no input derivation, found ${drvPath}`,
    );
  };
  return fillOutputPaths(derivation, noInputs);
}
