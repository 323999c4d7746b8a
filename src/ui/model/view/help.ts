// The key table as lines of help.
import { keyText } from "./key-text.ts";
import { KEY_SECTIONS, KEYMAP, type KeySection } from "./keymap.ts";

export type HelpLine =
  | { readonly type: "heading"; readonly text: string }
  | { readonly type: "key"; readonly keys: string; readonly text: string };

export const SECTION_TITLES: Readonly<Record<KeySection, string>> = {
  move: "Move",
  look: "Look",
  steer: "Steer",
  program: "Program",
  replay: "Replay",
};

/** Headings and keys in the order of the table; keys of a replay only in one. */
export function helpLines(isReplay: boolean, ascii: boolean): readonly HelpLine[] {
  return KEY_SECTIONS.filter((section) => isReplay || section !== "replay").flatMap((section): readonly HelpLine[] => [
    { type: "heading", text: SECTION_TITLES[section] },
    ...KEYMAP.filter((binding) => binding.section === section).map((binding): HelpLine => {
      return { type: "key", keys: binding.keys.map((name) => keyText(name, ascii)).join(" "), text: binding.help };
    }),
  ]);
}
