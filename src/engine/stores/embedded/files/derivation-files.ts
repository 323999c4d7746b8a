// Reads the `.drv` files of this store, and what must be recorded when one is registered.
import { readFileSync } from "node:fs";
import { EngineError, messageOf } from "../../../base/errors.ts";
import type { Derivation } from "../../../derivation/derivation.ts";
import { type InputHashes, statedOutputPaths, wrongOutputPaths } from "../../../derivation/hash-modulo.ts";
import { parseDerivation } from "../../../derivation/parse.ts";
import { derivationNameOf, type StorePath } from "../../../formats/store-path.ts";
import { realPathOf, type StoreLayout } from "../layout.ts";

/** A derivation in the store, either registered or only in place. Throws `STORE_DERIVATION_UNREADABLE`. */
export function readDerivation(layout: StoreLayout, drvPath: StorePath): Derivation {
  try {
    return parseDerivation(readFileSync(realPathOf(layout, drvPath)), derivationNameOf(drvPath));
  } catch (cause) {
    throw new EngineError(
      "store",
      "STORE_DERIVATION_UNREADABLE",
      `cannot read derivation '${drvPath}': ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
}

/**
 * The output paths that a new `.drv` states, checked as in Nix: each must be the one that follows from the derivation. The file must be
 * in place, and so must those of its inputs.
 * @throws EngineError `STORE_DERIVATION_WRONG_OUTPUT`, `STORE_DERIVATION_UNREADABLE`.
 */
export function checkedOutputs(
  layout: StoreLayout,
  inputHashes: InputHashes,
  drvPath: StorePath,
): Map<string, StorePath> {
  const derivation = readDerivation(layout, drvPath);
  const [wrong] = wrongOutputPaths(derivation, inputHashes);
  if (wrong !== undefined) {
    throw new EngineError(
      "store",
      "STORE_DERIVATION_WRONG_OUTPUT",
      `derivation '${drvPath}' has incorrect output '${wrong.stated}', should be '${wrong.computed}'`,
    );
  }
  const outputs = new Map<string, StorePath>();
  for (const [name, path] of statedOutputPaths(derivation)) if (path !== null) outputs.set(name, path);
  return outputs;
}
