// Realisations, Nix's record of the path of a content-addressed output, as the JSON on the wire since worker protocol 1.31.
import { baseNameOf, isStorePath, STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import { MAX_NAME_BYTES } from "../limits.ts";

/** The path of a realised output. `id` is `sha256:<hex of the derivation's hash modulo>!<output name>` (Nix: `DrvOutput`). */
export interface Realisation {
  readonly id: string;
  readonly path: StorePath;
  readonly signatures: readonly string[];
}

/** The JSON text, keys in Nix's order. */
export function printRealisation(realisation: Realisation): string {
  return JSON.stringify({
    dependentRealisations: {},
    id: realisation.id,
    outPath: baseNameOf(realisation.path),
    signatures: realisation.signatures,
  });
}

/** Parses the JSON text, null when malformed. Dependent realisations are ignored, as in Nix since 2.34, and always empty. */
export function parseRealisation(text: string): Realisation | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { id, outPath, signatures } = value as Record<string, unknown>;
  if (typeof id !== "string" || typeof outPath !== "string" || id.length > MAX_NAME_BYTES) return null;
  const path = `${STORE_DIR}/${outPath}`;
  if (!isStorePath(path)) return null;
  const names = Array.isArray(signatures) ? signatures.filter((name): name is string => typeof name === "string") : [];
  return { id, path, signatures: names };
}

/** The output name of an id, null if it does not have the form `sha256:<hex>!<name>`. */
export function outputNameOf(id: string): string | null {
  const separator = id.indexOf("!");
  return separator > 0 && separator + 1 < id.length ? id.slice(separator + 1) : null;
}
