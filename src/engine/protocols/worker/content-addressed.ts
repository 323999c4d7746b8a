// Whether a derivation's outputs are named by their contents, so that whoever asks for it cannot pass something off as something else.
import type { BasicDerivation } from "../../derivation/derivation.ts";

/** True when no output is input-addressed or deferred (Nix: `DerivationType::isCA`). */
export function isContentAddressed(derivation: BasicDerivation): boolean {
  for (const output of derivation.outputs.values()) {
    if (output.type === "inputAddressed" || output.type === "deferred") return false;
  }
  return derivation.outputs.size > 0;
}
