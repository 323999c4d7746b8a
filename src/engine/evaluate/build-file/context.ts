// Remembers which strings stand for store paths, to find a dependency again that was written into a text (Nix's string context).

import { EngineError } from "../../base/errors.ts";
import { STORE_DIR, type StorePath } from "../../formats/store-path.ts";

/** The dependency that a path or placeholder in a string creates. */
export type ContextElement =
  | { readonly type: "output"; readonly drvPath: StorePath; readonly output: string }
  | { readonly type: "source"; readonly path: StorePath }
  /** A derivation's own path: everything in its closure, with all outputs. */
  | { readonly type: "derivation"; readonly drvPath: StorePath };

const STORE_PREFIX = new RegExp(`${STORE_DIR}/[0-9a-df-np-sv-z]{32}`, "g");
const PLACEHOLDER = /\/[0-9a-df-np-sv-z]{52}/g;

const elements = new Map<string, ContextElement>();

/** Records the dependency of a path (by its hash part) or a placeholder. */
export function remember(text: string, element: ContextElement): void {
  elements.set(keyOf(text), element);
}

/** Everything a string depends on: paths that were not made here are plain text, as in Nix. */
export function contextOf(text: string): ContextElement[] {
  if (!text.includes("/")) return [];
  const found = new Set<ContextElement>();
  for (const pattern of [STORE_PREFIX, PLACEHOLDER]) {
    for (const [match] of text.matchAll(pattern)) {
      const element = elements.get(match);
      if (element !== undefined) found.add(element);
    }
  }
  return [...found];
}

function keyOf(text: string): string {
  const match = text.startsWith(`${STORE_DIR}/`) ? text.slice(0, STORE_DIR.length + 33) : text;
  if (match.length < 40)
    throw new EngineError("internal", "CONTEXT_BAD_KEY", `no store path or placeholder: '${text}'`);
  return match;
}
