// What `exportReferencesGraph` tells a builder about closures: as text, or as JSON with structured attributes.
import { EngineError } from "../../../../base/errors.ts";
import { printHash } from "../../../../formats/hash.ts";
import type { PathInfo } from "../../../../formats/path-info.ts";
import { isStorePath, STORE_DIR, type StorePath } from "../../../../formats/store-path.ts";

/** Queries the store. */
export interface GraphSource {
  /** Info of a valid path, null for others. */
  readonly find: (path: StorePath) => PathInfo | null;
  readonly closureOf: (paths: Iterable<StorePath>) => ReadonlySet<StorePath>;
  /** Known output paths of a valid derivation. */
  readonly outputsOf: (drvPath: StorePath) => Iterable<StorePath>;
}

/**
 * The exported closure, sorted, including the outputs (and their closures) of the derivations in it (Nix: `exportReferences`).
 * @throws EngineError `DRV_BAD_OPTION` for anything that is not a store path, or not an input of the derivation.
 */
export function exportedPaths(
  source: GraphSource,
  exported: readonly string[],
  inputs: ReadonlySet<StorePath>,
): StorePath[] {
  const roots = exported.map((text) => storePathOf(text));
  for (const path of roots) {
    if (!inputs.has(path)) {
      throw refused(
        `cannot export references of path '${path}' because it is not in the input closure of the derivation`,
      );
    }
  }
  const closure = source.closureOf(roots);
  const outputs = [...closure].filter((path) => path.endsWith(".drv")).flatMap((path) => [...source.outputsOf(path)]);
  for (const output of outputs) {
    if (source.find(output) === null) throw refused(`path '${output}' is not valid, but its derivation is exported`);
  }
  return [...new Set([...closure, ...source.closureOf(outputs)])].sort();
}

/** The text form: for each path the path itself, an empty deriver, the number of references, the references; one line each. */
export function printGraphText(source: GraphSource, paths: readonly StorePath[]): string {
  return paths
    .map((path) => {
      const references = source.find(path)?.references ?? [];
      return [path, "", String(references.length), ...references].map((line) => `${line}\n`).join("");
    })
    .join("");
}

/** The JSON form (Nix 2.34 `pathInfoToJSON` without machine-dependent fields, with closure sizes; older releases omit `valid`). */
export function printGraphJson(source: GraphSource, paths: readonly StorePath[]): string {
  const entries = paths.flatMap((path) => {
    const info = source.find(path);
    if (info === null) return [];
    let closureSize = 0n;
    for (const member of source.closureOf([path])) closureSize += source.find(member)?.narSize ?? 0n;
    return [
      {
        ...(info.contentAddress === null ? {} : { ca: info.contentAddress }),
        closureSize: Number(closureSize),
        narHash: printHash({ algorithm: "sha256", digest: info.narHash }, "nix32", true),
        narSize: Number(info.narSize),
        path,
        references: info.references,
        valid: true,
      },
    ];
  });
  return JSON.stringify(entries);
}

function storePathOf(text: string): StorePath {
  const path = text.startsWith(`${STORE_DIR}/`) ? text.split("/").slice(0, 4).join("/") : text;
  if (isStorePath(path)) return path;
  throw refused(`'exportReferencesGraph' contains a non-store path '${text}'`);
}

function refused(message: string): EngineError {
  return new EngineError("build", "DRV_BAD_OPTION", message);
}
