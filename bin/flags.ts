// The flags: one table of what each is called, what it takes and what it sets. Flags and their meanings are Nix's wherever Nix has them.
import { SETTING_ROWS } from "../src/engine/index.ts";
import { UI_FLAGS } from "../src/ui/index.ts";
import type { CommandName } from "./invocation.ts";
import { LOG_FORMATS } from "./invocation.ts";

/** What the flags of a command line have set, in the making. */
export interface FlagValues {
  readonly settings: Map<string, string>;
  readonly switches: Set<string>;
  /** Last value of flags that take one. */
  readonly values: Map<string, string>;
  readonly attributes: string[];
  readonly arguments: { readonly type: "expression" | "text"; readonly name: string; readonly value: string }[];
  readonly lookupPath: string[];
  readonly flakeFlags: string[];
  /** The words behind `--`, null without it. */
  behind: readonly string[] | null;
  verbosity: number;
}

/** One flag. */
export interface Flag {
  /** As in the help: `-j, --max-jobs <number>`; the number of `<…>` is the number of its arguments, 0 to 2. */
  readonly form: string;
  readonly doc: string;
  /** The only values there are, null: any. */
  readonly choices: readonly string[] | null;
  readonly shown: boolean;
  readonly apply: (into: FlagValues, first: string, second: string) => void;
}

function flag(form: string, doc: string, apply: Flag["apply"], options: Partial<Flag> = {}): Flag {
  return { form, doc, choices: null, shown: true, apply, ...options };
}

/** The long name of a flag without dashes, else the short one: `max-jobs`. */
export function flagName({ form }: Flag): string {
  return (/--([a-z0-9-]+)/.exec(form) ?? /-([A-Za-z])/.exec(form))?.[1] ?? "";
}

/** How many arguments a flag takes. */
export function arityOf({ form }: Flag): number {
  return form.split("<").length - 1;
}

/** Remembers that the flag was given. */
function on(form: string, doc: string, options: Partial<Flag> = {}): Flag {
  const name = flagName({ form } as Flag);
  return flag(form, doc, ({ switches }) => switches.add(name), options);
}

/** Remembers the flag's last value. */
function value(form: string, doc: string, options: Partial<Flag> = {}): Flag {
  const name = flagName({ form } as Flag);
  return flag(form, doc, ({ values }, word) => values.set(name, word), options);
}

/**
 * Assigns a setting so that the order of the map is the order that counts: `extra-NAME` adds up, and an assignment forgets what was added before it.
 */
export function assign(settings: Map<string, string>, name: string, word: string): void {
  const isExtra = name.startsWith("extra-") && !SETTING_ROWS.has(name);
  const before = isExtra ? settings.get(name) : undefined;
  settings.delete(name);
  if (!isExtra) settings.delete(`extra-${name}`);
  settings.set(name, before === undefined ? word : `${before} ${word}`);
}

/** Sets a setting to a fixed value, or to the flag's. */
function sets(form: string, name: string, fixed: string | null, doc: string, options: Partial<Flag> = {}): Flag {
  return flag(form, doc, ({ settings }, word) => assign(settings, name, fixed ?? word), options);
}

const COMMON: readonly Flag[] = [
  sets("--store <uri>", "store", null, "the store to work on: a directory, 'daemon', ssh-ng://HOST, …"),
  flag("--option <name> <value>", "set any setting, as in nix.conf", ({ settings }, name, word) =>
    assign(settings, name, word),
  ),
  flag("-v, --verbose", "say more; again for still more", (into) => {
    into.verbosity += 1;
  }),
  flag("--quiet", "say less: failures and the result only", (into) => {
    into.verbosity -= 1;
  }),
  flag("--debug", "say everything", (into) => {
    into.verbosity = Math.max(into.verbosity, 4);
  }),
  on("--no-color", "no colours, as NO_COLOR=1"),
];

const SHOWING: readonly Flag[] = [
  value("--ui <kind>", "how to show the run", { choices: UI_FLAGS }),
  value("--log-format <format>", "the same in Nix's words", { choices: LOG_FORMATS, shown: false }),
  on("--json", "print the results as JSON"),
  sets("-L, --print-build-logs", "print-build-logs", "true", "print what builders print as it comes"),
  sets("-Q, --no-build-output", "print-build-logs", "false", "do not print what builders print"),
  value("--record <file>", "record the run for 'replay'"),
  value("--report <file>", "write a report of the run"),
  on("--explain", "say of each build why it went where it went"),
];

const EVALUATING: readonly Flag[] = [
  value("-f, --file <file>", "take attributes from a Nix file"),
  flag("-A, --attr <attribute>", "what to build of it; may be repeated", ({ attributes }, word) =>
    attributes.push(word),
  ),
  value("-E, --expr <expression>", "take attributes from a Nix expression"),
  flag("--arg <name> <expression>", "pass an argument to a function", ({ arguments: all }, name, word) =>
    all.push({ type: "expression", name, value: word }),
  ),
  flag("--argstr <name> <text>", "pass a text to a function", ({ arguments: all }, name, word) =>
    all.push({ type: "text", name, value: word }),
  ),
  flag("-I, --include <path>", "add to the lookup path (<nixpkgs>)", ({ lookupPath }, word) => lookupPath.push(word)),
  on("--show-trace", "show where evaluation failed"),
  ...[
    "--impure",
    "--no-write-lock-file",
    "--no-update-lock-file",
    "--recreate-lock-file",
    "--commit-lock-file",
    "--refresh",
    "--no-registries",
  ].map((form) => flag(form, "for flakes, as in Nix", ({ flakeFlags }) => flakeFlags.push(form), { shown: false })),
  flag(
    "--override-input <input> <flake>",
    "for flakes, as in Nix",
    ({ flakeFlags }, input, flake) => flakeFlags.push("--override-input", input, flake),
    { shown: false },
  ),
  flag(
    "--update-input <input>",
    "for flakes, as in Nix",
    ({ flakeFlags }, input) => flakeFlags.push("--update-input", input),
    { shown: false },
  ),
];

const BUILDING: readonly Flag[] = [
  sets(
    "-j, --max-jobs <number>",
    "max-jobs",
    null,
    "builds at once on this machine; 0 builds on the others only; auto",
  ),
  sets("--cores <number>", "cores", null, "cores of each build; 0: all of the machine that builds"),
  sets("--builders <machines>", "builders", null, "the machines to build on, or @FILE"),
  sets("--substituters <uris>", "substituters", null, "the stores to fetch from"),
  sets("--policy <policy>", "policy", null, "how machines are chosen", { choices: ["own", "nix"] }),
  on("-n, --dry-run", "show what would be built, fetched and where it could go"),
  on("--check", "build again what is valid and compare"),
  on("--rebuild", "the same as --check"),
  on("--build-missing", "with --check: first build what is not valid"),
  sets("--repeat <number>", "repeat", null, "further rounds of every build, compared with the first"),
  sets("--rounds-on <machines>", "rounds-on", null, "where the next round may run", {
    choices: ["any", "same", "other"],
  }),
  on("--diffoscope", "show differences with diffoscope"),
  sets("-K, --keep-failed", "keep-failed", "true", "keep the directory of a failed build"),
  sets("-k, --keep-going", "keep-going", "true", "go on with what does not depend on a failed build"),
  sets("--fallback", "fallback", "true", "build what cannot be fetched"),
  sets("--timeout <seconds>", "timeout", null, "end builds that take longer"),
  sets("--max-silent-time <seconds>", "max-silent-time", null, "end builds that are silent for longer"),
  value("--add-root <path>", "make PATH a link that keeps the results"),
  value("--upload-to <uri>", "copy the results to a store"),
  sets("--no-build-hook", "builders", "", "build on this machine only", { shown: false }),
  flag(
    "--offline",
    "fetch nothing",
    ({ settings, flakeFlags }) => {
      assign(settings, "substitute", "false");
      flakeFlags.push("--offline");
    },
    { shown: false },
  ),
];

const LINKING: readonly Flag[] = [
  value("-o, --out-link <path>", "name of the result links (result)"),
  on("--no-out-link", "make no result links"),
  on("--no-link", "the same", { shown: false }),
  value("--profile <path>", "make the one result the next generation of a profile"),
  on("--print-out-paths", "print the out paths (the default)", { shown: false }),
];

const RECURSIVE = on("-r, --recursive", "the whole closure");
const JSON_RESULT = on("--json", "print the results as JSON");

/** A command: what it does in a line, its operands, its flags. */
export interface CommandSpec {
  readonly summary: string;
  /** As commander writes them: `<required>`, `[optional]`, `[list...]`. */
  readonly operands: string;
  readonly flags: readonly Flag[];
}

const BUILD_FLAGS = [...EVALUATING, ...BUILDING, ...LINKING, ...SHOWING, ...COMMON];

/** The commands, in the order of the help. */
export const COMMANDS: Readonly<Record<CommandName, CommandSpec>> = {
  build: {
    summary: "build installables and print their out paths (may be omitted)",
    operands: "[installables...]",
    flags: BUILD_FLAGS,
  },
  check: { summary: "build again and compare: build --check", operands: "[installables...]", flags: BUILD_FLAGS },
  builders: {
    summary: "the machines as understood, each probed: what is wrong and how to mend it",
    operands: "",
    flags: [
      sets("--builders <machines>", "builders", null, "the machines to look at, or @FILE"),
      JSON_RESULT,
      ...COMMON,
    ],
  },
  hooks: {
    summary: "hooks and uploads that are not done: list, retry or drop them",
    operands: "[action] [ids...]",
    flags: [
      on("--all", "with retry and drop: every one"),
      value("--upload-to <uri>", "with retry: who may write there, which is not kept"),
      JSON_RESULT,
      ...COMMON,
    ],
  },
  "ping-store": {
    summary: "connect to a store and say what answered, or why not",
    operands: "",
    flags: [JSON_RESULT, ...COMMON],
  },
  copy: {
    summary: "copy closures between stores",
    operands: "[installables...]",
    flags: [
      value("--from <uri>", "the store to copy from"),
      value("--to <uri>", "the store to copy to"),
      on("--all", "every path of the store"),
      on("--no-recursive", "the paths only, not their closures"),
      on("--no-check-sigs", "do not ask for trusted signatures"),
      on("-s, --substitute-on-destination", "let the destination fetch what it can"),
      ...EVALUATING,
      ...SHOWING,
      ...COMMON,
    ],
  },
  realise: {
    summary: "make store paths valid, by fetching or building",
    operands: "<paths...>",
    flags: [...BUILDING, ...SHOWING, ...COMMON],
  },
  delete: {
    summary: "delete paths nothing needs any more",
    operands: "<paths...>",
    flags: [on("--ignore-liveness", "delete also what is still needed"), ...COMMON],
  },
  gc: {
    summary: "delete everything nothing needs any more",
    operands: "",
    flags: [
      value("--max-freed <bytes>", "stop after freeing so much; K, M, G and T may follow the number"),
      on("--print-roots", "print what keeps paths alive, and delete nothing"),
      on("--print-live", "print the paths that are alive, and delete nothing"),
      on("--print-dead", "print the paths that would be deleted, and delete nothing"),
      on("--dry-run", "the same as --print-dead"),
      ...COMMON,
    ],
  },
  log: { summary: "print the log of a build", operands: "<installables...>", flags: [...EVALUATING, ...COMMON] },
  "sign-paths": {
    summary: "sign paths with a secret key",
    operands: "[paths...]",
    flags: [
      value("--key-file <file>", "file with the secret key"),
      on("--all", "every path of the store"),
      RECURSIVE,
      ...COMMON,
    ],
  },
  "generate-binary-cache-key": {
    summary: "make a key pair to sign paths with",
    operands: "<key-name> <secret-key-file> <public-key-file>",
    flags: COMMON,
  },
  verify: {
    summary: "check that paths are whole and trusted",
    operands: "[paths...]",
    flags: [
      on("--all", "every path of the store"),
      RECURSIVE,
      on("--no-contents", "do not read the contents"),
      on("--no-trust", "do not look at signatures"),
      value("-n, --sigs-needed <number>", "signatures each path needs"),
      on("--check-contents", "read the contents (the default)", { shown: false }),
      ...COMMON,
    ],
  },
  serve: {
    summary: "be a builder for Nix and for tsbuild-top",
    operands: "",
    flags: [
      on("--stdio", "speak the worker protocol, as 'nix-daemon --stdio'"),
      on("--serve", "speak the serve protocol, as 'nix-store --serve'"),
      on("--write", "with --serve: take paths in and build"),
      ...COMMON,
    ],
  },
  replay: {
    summary: "show a recorded run again",
    operands: "<file>",
    flags: [value("--speed <factor>", "times the recorded speed, or 'max' (1)"), ...SHOWING, ...COMMON],
  },
  watch: {
    summary: "the board over a Nix command, or over a log of one: watch -- nix build .#x",
    operands: "[file]",
    flags: [...SHOWING, ...COMMON],
  },
  demo: {
    summary: "three builders on this machine, real SSH, real builds",
    operands: "",
    flags: [...SHOWING, ...COMMON],
  },
};

/** Every setting as a flag, as in Nix: `--NAME VALUE`, `--NAME` and `--no-NAME` for switches, `--extra-NAME VALUE` for lists. Not in the help. */
export function settingFlags(taken: ReadonlySet<string>): Flag[] {
  const hidden: Partial<Flag> = { shown: false };
  const flags = [...SETTING_ROWS].flatMap(([name, { kind, doc }]) => {
    if (name === "sandbox") {
      return [
        sets("--sandbox", name, "true", doc, hidden),
        sets("--no-sandbox", name, "false", doc, hidden),
        sets("--relaxed-sandbox", name, "relaxed", doc, hidden),
      ];
    }
    if (kind.isSwitch)
      return [sets(`--${name}`, name, "true", doc, hidden), sets(`--no-${name}`, name, "false", doc, hidden)];
    const plain = sets(`--${name} <value>`, name, null, doc, hidden);
    return kind.append === null
      ? [plain]
      : [plain, sets(`--extra-${name} <value>`, `extra-${name}`, null, doc, hidden)];
  });
  return flags.filter((candidate) => !taken.has(flagName(candidate)));
}
