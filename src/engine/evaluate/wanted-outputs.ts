// Which outputs are requested after `^`: of a derivation, of a flake reference and of an attribute.
import { EngineError } from "../base/errors.ts";
import type { DerivedPath } from "../stores/store.ts";

/** Which outputs of a derivation are wanted. `default`: those that its author marked for installation. */
export type WantedOutputs =
  | { readonly type: "default" }
  | { readonly type: "all" }
  | { readonly type: "named"; readonly names: readonly string[] };

export const DEFAULT_OUTPUTS: WantedOutputs = { type: "default" };

const OUTPUT_NAME = /^[0-9a-zA-Z+\-._?=]+$/;

/** Parses the text after `^` in `word`: `*`, or names separated by commas. Throws `INSTALLABLE_BAD_OUTPUTS`. */
export function parseOutputs(text: string, word: string): WantedOutputs {
  if (text === "*") return { type: "all" };
  const names = text.split(",");
  if (!names.every((name) => OUTPUT_NAME.test(name))) {
    throw new EngineError(
      "usage",
      "INSTALLABLE_BAD_OUTPUTS",
      `'${word}': expected output names separated by ',' or '*' behind '^', found '${text}'`,
      { hint: "for example '^out,dev' or '^*'" },
    );
  }
  return { type: "named", names };
}

/** Attributes evaluated together, and the wanted outputs of their values. */
export interface AttributeGroup {
  readonly attributes: readonly string[];
  readonly outputs: WantedOutputs;
}

/** Splits `attribute^outputs` words into groups, keeping their order; no attribute at all is one group. Throws `INSTALLABLE_BAD_OUTPUTS`. */
export function groupByOutputs(words: readonly string[]): AttributeGroup[] {
  const groups: { attributes: string[]; outputs: WantedOutputs }[] = [];
  for (const word of words) {
    // A caret within quotes belongs to the attribute's name.
    const [, attribute, chosen] = /^(.*)\^([^"]*)$/s.exec(word) ?? [null, word, null];
    const outputs = chosen === null ? DEFAULT_OUTPUTS : parseOutputs(chosen, word);
    const last = groups.at(-1);
    if (chosen === null && last?.outputs.type === "default") last.attributes.push(attribute);
    else groups.push({ attributes: [attribute], outputs });
  }
  return groups.length === 0 ? [{ attributes: [], outputs: DEFAULT_OUTPUTS }] : groups;
}

/** An evaluated target with the requested outputs instead of those from the evaluation. */
export function withOutputs(target: DerivedPath, outputs: WantedOutputs): DerivedPath {
  if (target.type === "opaque" || outputs.type === "default") return target;
  return { ...target, outputs: outputs.type === "all" ? "all" : outputs.names };
}
