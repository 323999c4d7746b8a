// Pages of docs/ that are made from tables of the program, so that they cannot say something else than it does.
import { SECTION_TITLES } from "../../src/ui/model/help.ts";
import { keyText } from "../../src/ui/model/key-text.ts";
import { KEY_SECTIONS, KEYMAP, type KeyBinding } from "../../src/ui/model/keymap.ts";
import type { ScreenType } from "../../src/ui/model/view-state.ts";

export interface GeneratedDoc {
  /** Relative to the root of the checkout. */
  readonly path: string;
  readonly text: () => string;
}

export const GENERATED_DOCS: readonly GeneratedDoc[] = [{ path: "docs/KEYS.md", text: keysPage }];

const SCREEN_NAMES: Readonly<Record<ScreenType, string>> = {
  board: "board",
  list: "all builds",
  log: "log",
  tree: "dependencies",
  machines: "builders",
  failures: "failures",
  rounds: "rounds",
  help: "help",
};

/** The key table as a page. */
function keysPage(): string {
  const sections = KEY_SECTIONS.map((section) => {
    const rows = KEYMAP.filter((binding) => binding.section === section).map(keyRow);
    return `## ${SECTION_TITLES[section]}\n\n| Key | Does | Where |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
  });
  return `# Keys of the board

This page is made from the key table of the program (\`src/ui/model/keymap.ts\`) by \`node test/support/generate-docs.ts\`.

The footer always shows the keys that do something now; a key that does nothing says why. What cannot be undone asks first. While a text is
typed, \`Enter\` keeps it and \`Esc\` brings back what was there before. Every request is answered on the screen: what was done, or why not.

${sections.join("\n")}`;
}

function keyRow(binding: KeyBinding): string {
  const keys = binding.keys.map((name) => `\`${keyText(name, true)}\``).join(" ");
  const where =
    binding.screens === null ? "everywhere" : binding.screens.map((screen) => SCREEN_NAMES[screen]).join(", ");
  return `| ${keys} | ${binding.help.replaceAll("|", "\\|")} | ${where} |`;
}
