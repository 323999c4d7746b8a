// The flags handed to Nix's own programs, so that they evaluate under the settings the user gave here.
import { findSetting, SETTING_ROWS } from "../config/settings.ts";

/** What evaluation is told, beyond what to evaluate. */
export interface EvaluationOptions {
  /** `--arg NAME EXPR` and `--argstr NAME TEXT`, in order. */
  readonly arguments: readonly {
    readonly type: "expression" | "text";
    readonly name: string;
    readonly value: string;
  }[];
  /** `-I`. */
  readonly lookupPath: readonly string[];
  /** Settings from the command line, by name, of Nix and our own. */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** The store derivations are written to, as Nix's `--store` takes it; null: Nix's own choice. */
  readonly store: string | null;
  readonly showTrace: boolean;
  /** Flags for flakes only: `--impure`, `--no-write-lock-file`, `--override-input A B`… */
  readonly flakeFlags: readonly string[];
}

/** Settings Nix dropped after 2.12: newer Nix would warn of them, and they say nothing about evaluation. */
const DROPPED = new Set(["repeat", "enforce-determinism"]);

/** `--option NAME VALUE` for every setting that is Nix's, and `--store`. */
export function settingFlags({ settingsOverrides, store, showTrace }: EvaluationOptions): string[] {
  const flags = store === null ? [] : ["--store", store];
  for (const [name, value] of settingsOverrides) {
    const known = findSetting(name)?.name ?? name;
    if (SETTING_ROWS.get(known)?.origin === "own" || known === "store" || DROPPED.has(known)) continue;
    flags.push("--option", name, value);
  }
  if (showTrace) flags.push("--show-trace");
  return flags;
}

/** `--arg`, `--argstr` and `-I`. */
export function expressionFlags({ arguments: given, lookupPath }: EvaluationOptions): string[] {
  return [
    ...given.flatMap(({ type, name, value }) => [type === "text" ? "--argstr" : "--arg", name, value]),
    ...lookupPath.flatMap((entry) => ["-I", entry]),
  ];
}
