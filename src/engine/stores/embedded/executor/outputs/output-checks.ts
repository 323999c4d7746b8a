// What outputs may refer to, and their maximum size: `allowedReferences` and related attributes (Nix: `checkOutputs`); pure.
import type { DerivationOptions, OutputChecks } from "../../../../derivation/options.ts";
import type { PathInfo } from "../../../../formats/path-info.ts";
import { isStorePath, type StorePath } from "../../../../formats/store-path.ts";

/** What the checks need to know about valid paths. */
export type InfoLookup = (path: StorePath) => PathInfo | null;

/** The first rule that the new outputs break, in Nix's words; null when they break none. */
export function outputFault(
  options: DerivationOptions,
  outputs: ReadonlyMap<string, PathInfo>,
  lookup: InfoLookup,
): string | null {
  const fresh = new Map([...outputs.values()].map((info) => [info.path, info]));
  const find: InfoLookup = (path) => fresh.get(path) ?? lookup(path);
  for (const [name, info] of outputs) {
    const checks =
      options.outputChecks.type === "same" ? options.outputChecks.checks : options.outputChecks.checks.get(name);
    const fault = checks === undefined ? null : faultOf(info, checks, outputs, find);
    if (fault !== null) return fault;
  }
  return null;
}

function faultOf(
  info: PathInfo,
  checks: OutputChecks,
  outputs: ReadonlyMap<string, PathInfo>,
  find: InfoLookup,
): string | null {
  if (checks.maxSize !== null && info.narSize > checks.maxSize) {
    return `path '${info.path}' is too large at ${info.narSize} bytes; limit is ${checks.maxSize} bytes`;
  }
  const closure = once(() => closureOf(info.path, find));
  if (checks.maxClosureSize !== null) {
    let size = 0n;
    for (const path of closure()) size += find(path)?.narSize ?? 0n;
    if (size > checks.maxClosureSize) {
      return `closure of path '${info.path}' is too large at ${size} bytes; limit is ${checks.maxClosureSize} bytes`;
    }
  }

  const rules = [
    { named: checks.allowedReferences, allowed: true, whole: false },
    { named: checks.allowedRequisites, allowed: true, whole: true },
    { named: checks.disallowedReferences, allowed: false, whole: false },
    { named: checks.disallowedRequisites, allowed: false, whole: true },
  ];
  for (const { named, allowed, whole } of rules) {
    if (named === null || (!allowed && named.length === 0)) continue;
    const known = new Set<StorePath>();
    for (const item of named) {
      const path = isStorePath(item) ? item : outputs.get(item)?.path;
      if (path === undefined) return `derivation contains an illegal reference specifier '${item}'`;
      known.add(path);
    }
    const used = [...(whole ? closure() : info.references)]
      // The path itself is always in its closure.
      .filter((path) => !(whole && checks.ignoreSelfReferences && path === info.path))
      .filter((path) => known.has(path) !== allowed)
      .sort();
    if (used.length > 0) {
      return `output '${info.path}' is not allowed to refer to the following paths:${used.map((path) => `\n  ${path}`).join("")}`;
    }
  }
  return null;
}

function closureOf(root: StorePath, find: InfoLookup): Set<StorePath> {
  const closure = new Set<StorePath>();
  const open = [root];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (closure.has(path)) continue;
    closure.add(path);
    open.push(...(find(path)?.references ?? []));
  }
  return closure;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
