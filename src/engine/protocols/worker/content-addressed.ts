// Whether a derivation's outputs are named by their contents, so that a client cannot pass one output off as another.
import type { BasicDerivation } from "../../derivation/derivation.ts";

/** True when no output is input-addressed or deferred (Nix: `DerivationType::isCA`). */
export function isContentAddressed(derivation: BasicDerivation): boolean {
  for (const output of derivation.outputs.values()) {
    if (output.type === "inputAddressed" || output.type === "deferred") return false;
  }
  return derivation.outputs.size > 0;
}
