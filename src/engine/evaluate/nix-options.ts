// The flags passed to Nix's own programs, so that they evaluate with the user's settings.
import { findSetting, SETTING_ROWS } from "../config/settings.ts";

/** The options of an evaluation, besides what to evaluate. */
export interface EvaluationOptions {
  /** `--arg NAME EXPR` and `--argstr NAME TEXT`, in order. */
  readonly arguments: readonly {
    readonly type: "expression" | "text";
    readonly name: string;
    readonly value: string;
  }[];
  /** `-I`. */
  readonly lookupPath: readonly string[];
  /** Settings from the command line, by name, both Nix's and our own. */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** The store to write derivations to, in the form of Nix's `--store`; null: Nix's own choice. */
  readonly store: string | null;
  readonly showTrace: boolean;
  /** Flags for flakes only: `--impure`, `--no-write-lock-file`, `--override-input A B`… */
  readonly flakeFlags: readonly string[];
}

/** Settings that Nix dropped after 2.12: newer Nix would warn about them, and they do not affect evaluation. */
const DROPPED = new Set(["repeat", "enforce-determinism"]);

/** `--option NAME VALUE` for every Nix setting, and `--store`. */
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
