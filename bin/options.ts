// The grammar of the command line: words in, one Invocation out. The only file that knows commander, which neither prints nor exits here.
import { Command, CommanderError, Help, Option } from "commander";
import { EngineError } from "../src/engine/base/errors.ts";
import type { CommandSpec, Flag, FlagValues } from "./flags.ts";
import { arityOf, COMMANDS, flagName, settingFlags } from "./flags.ts";
import { interpret } from "./interpret.ts";
import type { CommandName, Invocation } from "./invocation.ts";
import { suggest } from "./suggest.ts";

const PROGRAM = "tsbuild-top";
/** Between the two arguments of a flag, while commander sees them as one; no argument of a program can contain it. */
const SEPARATOR = "\0";

/**
 * Parses the command line (without the program's name). `build` may be left out, flags may stand before the command.
 * @throws EngineError of family `usage`: code `USAGE_…`, the hint naming what was probably meant.
 */
export function parseCommandLine(argv: readonly string[], version: string): Invocation {
  const { name, args } = findCommand(argv);
  const flagsOnly = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length);
  if (flagsOnly.includes("--version") || flagsOnly.includes("-V") || (name === null && args[0] === "version"))
    return { type: "help", text: `${PROGRAM} ${version}` };
  if (flagsOnly.includes("--help") || flagsOnly.includes("-h")) return { type: "help", text: helpText(name) };
  if (name === null && args[0] === "help") return { type: "help", text: helpText(asCommand(args[1] ?? "")) };

  const command = name ?? "build";
  const values = emptyValues();
  const parser = createParser(command, COMMANDS[command], values);
  let operands: readonly string[];
  try {
    const dashes = command === "watch" ? args.indexOf("--") : -1;
    values.behind = dashes < 0 ? null : args.slice(dashes + 1);
    parser.parse(dashes < 0 ? args : args.slice(0, dashes), { from: "user" });
    operands = parser.args;
  } catch (error) {
    throw error instanceof CommanderError ? usageError(error, command) : error;
  }
  if (name === null) refuseMisspeltCommand(operands);
  return interpret(command, operands, values);
}

function asCommand(word: string): CommandName | null {
  return Object.hasOwn(COMMANDS, word) ? (word as CommandName) : null;
}

/** The flags of a command, the settings' included, by every spelling. */
function flagsOf(command: CommandName): ReadonlyMap<string, Flag> {
  const named = COMMANDS[command].flags;
  const all = [...named, ...settingFlags(new Set(named.map(flagName)))];
  return new Map(
    all.flatMap((flag) =>
      [...flag.form.matchAll(/--?[A-Za-z0-9][a-z0-9-]*/g)].map(([spelling]) => [spelling, flag] as const),
    ),
  );
}

interface FoundCommand {
  /** Null: none was named. */
  readonly name: CommandName | null;
  /** The other words; the two arguments of a flag joined to it. */
  readonly args: readonly string[];
}

/** Finds the command among the words, without taking the arguments of flags for it. */
function findCommand(argv: readonly string[]): FoundCommand {
  const args: string[] = [];
  let name: CommandName | null = null;
  let flags = flagsOf("build");
  let hasOperand = false;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (word === "--") {
      args.push(...argv.slice(index));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      const command: CommandName | null =
        hasOperand || name !== null ? null : asCommand(word === "realize" ? "realise" : word);
      if (command === null) {
        hasOperand = true;
        args.push(word);
      } else {
        name = command;
        flags = flagsOf(command);
      }
      continue;
    }
    const { spelling, attached } = splitFlag(word, flags);
    const arity = arityOf(flags.get(spelling) ?? NO_FLAG);
    const wanted = attached ? arity - 1 : arity;
    const given = wanted > 0 ? argv.slice(index + 1, index + 1 + wanted) : [];
    if (given.length < wanted) throw missingArgument(spelling, arity);
    index += given.length;
    if (arity === 2) args.push(`${word}${attached ? SEPARATOR : "="}${given.join(SEPARATOR)}`);
    else args.push(word, ...given);
  }
  return { name, args };
}

const NO_FLAG: Flag = { form: "", doc: "", choices: null, shown: false, apply: () => undefined };

/** The flag at the end of a word (`-vj` ends in `-j`) and whether its first argument is part of the word (`-j4`, `--max-jobs=4`). */
function splitFlag(
  word: string,
  flags: ReadonlyMap<string, Flag>,
): { readonly spelling: string; readonly attached: boolean } {
  if (word.startsWith("--")) {
    const [spelling = ""] = word.split("=", 1);
    return { spelling, attached: word.includes("=") };
  }
  for (let at = 1; at < word.length; at += 1) {
    const spelling = `-${word[at]}`;
    if (arityOf(flags.get(spelling) ?? NO_FLAG) > 0) return { spelling, attached: at + 1 < word.length };
  }
  return { spelling: word, attached: false };
}

function createParser(name: string, spec: CommandSpec, values: FlagValues): Command {
  const parser = new Command(name)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .allowExcessArguments(spec.operands !== "" && spec.operands.includes("..."))
    .helpOption(false);
  if (spec.operands !== "") parser.arguments(spec.operands);
  const named = new Set(spec.flags.map(flagName));
  for (const flag of [...spec.flags, ...settingFlags(named)]) addFlag(parser, flag, values);
  // commander would otherwise look for an action and print the help instead.
  return parser.action(() => undefined);
}

function addFlag(parser: Command, flag: Flag, values: FlagValues): void {
  const form =
    arityOf(flag) === 2 ? flag.form.replace(/> </, "> and <").replace(/<([^>]*)> and <([^>]*)>/, "<$1-$2>") : flag.form;
  const option = new Option(form, flag.doc);
  // For the help only: what is wrong with a value is said below, in our own words.
  if (flag.choices !== null) option.argChoices = [...flag.choices];
  if (!flag.shown) option.hideHelp();
  parser.addOption(option);
  parser.on(`option:${option.name()}`, (given: string | null) => {
    const [first = "", second = ""] = (given ?? "").split(SEPARATOR);
    if (flag.choices !== null && !flag.choices.includes(first)) throw badChoice(flag, first, flag.choices);
    flag.apply(values, first, second);
  });
}

/** `tsbuild-top biuld` is no installable. */
function refuseMisspeltCommand(operands: readonly string[]): void {
  const [word] = operands;
  if (operands.length === 0 || word === undefined || /[/.#:^(<]/.test(word)) return;
  const meant = suggest(word, Object.keys(COMMANDS));
  if (meant === null) return;
  throw new EngineError("usage", "USAGE_UNKNOWN_COMMAND", `'${word}' is not a command of ${PROGRAM}`, {
    hint: `did you mean '${meant}'? To build a file of that name, write ./${word}`,
  });
}

function usageError(error: CommanderError, command: CommandName): EngineError {
  const found = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  const hint = `'${PROGRAM} ${command} --help' lists the flags`;
  switch (error.code) {
    case "commander.unknownOption": {
      const [spelling = found] = found.split("=", 1);
      const meant = suggest(spelling, flagsOf(command).keys());
      const message = `unrecognised flag '${spelling}'`;
      return new EngineError("usage", "USAGE_UNKNOWN_FLAG", message, {
        hint: meant === null ? hint : `did you mean '${meant}'? ${hint}`,
      });
    }
    case "commander.optionMissingArgument":
      return missingArgument(found.split(/[ ,]/, 1)[0] ?? found, 1);
    case "commander.missingArgument":
      return new EngineError(
        "usage",
        "USAGE_MISSING_OPERAND",
        `${command}: expected ${COMMANDS[command].operands}, found too few words`,
        { hint },
      );
    case "commander.excessArguments": {
      const expected = COMMANDS[command].operands === "" ? "flags only" : COMMANDS[command].operands;
      return new EngineError(
        "usage",
        "USAGE_TOO_MANY_OPERANDS",
        `${command}: expected ${expected}, found too many words`,
        { hint },
      );
    }
    default:
      return new EngineError("usage", "USAGE_MALFORMED", error.message.replace(/^error: /, ""), { hint, cause: error });
  }
}

function missingArgument(spelling: string, arity: number): EngineError {
  const wanted = arity === 1 ? "an argument" : `${arity} arguments`;
  return new EngineError("usage", "USAGE_MISSING_ARGUMENT", `flag '${spelling}' requires ${wanted}`, {
    hint: `'${PROGRAM} --help' shows how flags are written`,
  });
}

function badChoice(flag: Flag, found: string, choices: readonly string[]): EngineError {
  const meant = suggest(found, choices);
  return new EngineError(
    "usage",
    "USAGE_BAD_VALUE",
    `flag '--${flagName(flag)}': expected ${choices.join(", ")}, found '${found}'`,
    {
      hint: meant === null ? "choose one of these" : `did you mean '${meant}'?`,
    },
  );
}

// ---- help ----

class PlainHelp extends Help {
  override optionTerm(option: Option): string {
    return option.long === "--option" ? "--option <name> <value>" : option.flags.replace(/<(\w+)-(\w+)>/, "<$1> <$2>");
  }
}

/** Help on a command, or on the program. */
function helpText(command: CommandName | null): string {
  const helper = new PlainHelp();
  helper.prepareContext({ helpWidth: 100 });
  if (command !== null) {
    const spec = COMMANDS[command];
    const parser = createParser(command, spec, emptyValues())
      .usage(`${spec.operands} [flags]`.trim())
      .description(spec.summary);
    parser.name(`${PROGRAM} ${command}`);
    for (const argument of parser.registeredArguments) argument.description = "";
    return `${helper.formatHelp(parser, helper).trimEnd()}\n\nEvery setting of nix.conf is a flag as well: --NAME VALUE, --NAME or --no-NAME, --extra-NAME VALUE.`;
  }
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 2;
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return [
    `Usage: ${PROGRAM} [build] [installables...] [flags]`,
    `       ${PROGRAM} COMMAND [flags]`,
    "",
    "Like top, for builds: builds Nix derivations here and on every builder reachable over SSH.",
    "",
    "Installables: a .drv path (^out), '(EXPRESSION)', ./x.nix or ./x.ts with -A, a flake reference;",
    "none: ./default.nix or ./default.ts.",
    "",
    "Commands:",
    ...lines,
    "",
    `'${PROGRAM} COMMAND --help' lists the flags of a command.`,
  ].join("\n");
}

function emptyValues(): FlagValues {
  return {
    settings: new Map(),
    switches: new Set(),
    values: new Map(),
    attributes: [],
    arguments: [],
    lookupPath: [],
    flakeFlags: [],
    behind: null,
    verbosity: 0,
  };
}
