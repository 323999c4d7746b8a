// Pages of docs/ that are made from tables of the program, so that they cannot say something else than it does.
import { readFileSync } from "node:fs";
import { SETTING_ROWS, type SettingRow, type Surroundings } from "../../src/engine/config/settings.ts";
import { localReach, UNHEEDED_BY_EMBEDDED } from "../../src/engine/stores/open/local-nix-settings.ts";
import { SECTION_TITLES } from "../../src/ui/model/view/help.ts";
import { keyText } from "../../src/ui/model/view/key-text.ts";
import { KEY_SECTIONS, KEYMAP, type KeyBinding } from "../../src/ui/model/view/keymap.ts";
import type { ScreenType } from "../../src/ui/model/view/view-state.ts";
import { rooms } from "./rooms.ts";

export interface GeneratedDoc {
  /** Relative to the root of the checkout. */
  readonly path: string;
  readonly text: () => string;
}

export const GENERATED_DOCS: readonly GeneratedDoc[] = [
  { path: "docs/KEYS.md", text: keysPage },
  { path: "docs/SETTINGS.md", text: settingsPage },
  { path: "docs/ARCHITECTURE.md", text: architecturePage },
];

const ROOMS_BEGIN = "<!-- rooms: made from test/support/rooms.ts by `node test/support/generate-docs.ts` -->";
const ROOMS_END = "<!-- end of rooms -->";

/** The page as it is, with the table of rooms made anew. */
function architecturePage(): string {
  const page = readFileSync(new URL("../../docs/ARCHITECTURE.md", import.meta.url), "utf8");
  const [before, rest = ""] = page.split(ROOMS_BEGIN);
  const after = rest.slice(rest.indexOf(ROOMS_END));
  const short = (place: string): string => {
    if (place === "src/engine/") return "everything in src/engine";
    return place.endsWith("/index.ts") ? place : place.replace(/^src\/(?:engine\/)?/, "").replace(/\/$/, "");
  };
  const list = (places: readonly string[]): string => places.map((place) => `\`${short(place)}\``).join(", ");
  const rows = Object.values(rooms).map((room) => {
    const types = room.types === undefined ? "" : `; types of ${list(room.types)}`;
    const known = room.imports.length === 0 && types === "" ? "nothing of ours" : `${list(room.imports)}${types}`;
    const place = room.files.map((file) => `\`${file}\``).join(" ");
    return `| ${place} | ${room.decides} | ${room.pure ? "yes" : ""} | ${known.replace(/^; /, "")} |`;
  });
  const table = ["| room | decides | pure | may know, besides `base` |", "| --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
  return `${before}${ROOMS_BEGIN}\n${table}\n${after}`;
}

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

This page is made from the key table of the program (\`src/ui/model/view/keymap.ts\`) by \`node test/support/generate-docs.ts\`.

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

/** A machine like any other, so that the page is the same wherever it is made. */
const ANY_MACHINE: Surroundings = {
  system: "x86_64-linux",
  extraPlatforms: ["i686-linux"],
  systemFeatures: ["benchmark", "big-parallel", "nixos-test"],
  isRoot: false,
  store: "auto",
  builders: "@/etc/nix/machines",
  confDir: "/etc/nix",
  stateDir: "/nix/var/nix",
  logDir: "/nix/var/log/nix",
  daemonSocket: "/nix/var/nix/daemon-socket/socket",
  dataHome: "~/.local/share",
  stateHome: "~/.local/state",
};

/** The table of settings as a page. */
function settingsPage(): string {
  const rows = (origin: "nix" | "own"): string =>
    [...SETTING_ROWS]
      .filter(([, row]) => row.origin === origin)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, row]) => settingRow(name, row as SettingRow<unknown>))
      .join("\n");
  return `# Settings

This page is made from the table of settings (\`src/engine/config/settings.ts\`) by \`node test/support/generate-docs.ts\`.

Settings are read from \`/etc/nix/nix.conf\`, the user's \`nix.conf\`, \`NIX_CONFIG\` and the command line, where each is a flag (\`--NAME VALUE\`, \`--NAME\`
and \`--no-NAME\`, \`--extra-NAME VALUE\`, \`--option NAME VALUE\`); the last one wins. This program and the store it keeps itself (\`--store DIR\`, \`serve\`) heed
all of them but ${UNHEEDED_BY_EMBEDDED.map((name) => `\`${name}\``).join(", ")}, of which that store has no use: whoever sets one there is told. Where else they hold:

- **Nix started here**: a single-user Nix that this program starts for the run.
- **daemon**: one that runs already. *trusted*: it heeds the setting for users it trusts; *never*: it has read its own; what it will not heed is said before
  the first build.
- **builders**: told to the machines with each build. *own*: each machine has its own.

Settings of Nix that mean nothing to this program are handed to the Nix that evaluates and to one that is started here.

## Settings of Nix

| Setting | Default | Means | Nix started here | daemon | builders |
| --- | --- | --- | --- | --- | --- |
${rows("nix")}

## Settings of this program

| Setting | Default | Means | Nix started here | daemon | builders |
| --- | --- | --- | --- | --- | --- |
${rows("own")}

## Parameters of stores

What stands behind the \`?\` of a store's address holds for that store alone: \`require-sigs\` of a directory or of \`local\`; \`compression\`, \`compression-level\`,
\`parallel-compression\`, \`secret-key\`, \`secret-keys\`, \`write-nar-listing\`, \`priority\`, \`trusted\` and those of S3 of a cache; \`ssh-key\`,
\`base64-ssh-public-host-key\`, \`remote-program\`, \`remote-store\` and \`compress\` of a machine. One of Nix that has no effect here is named in a warning.
`;
}

function settingRow(name: string, row: SettingRow<unknown>): string {
  const value = row.kind.print(row.defaultValue(ANY_MACHINE) as never);
  const reach = localReach(name);
  const builders = row.toBuilders === "no" ? "own" : "yes";
  const places = reach === null ? ["as here", "as here"] : ["yes", reach.running === "always" ? "yes" : reach.running];
  const cells = [`\`${name}\``, value === "" ? "" : `\`${value}\``, row.doc, ...places, builders];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replace(/\n/g, " ")).join(" | ")} |`;
}
