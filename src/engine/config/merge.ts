// Precedence: merges settings from files, environment and command line, in order of precedence, into one typed value.
import { EngineError } from "../base/errors.ts";
import { isForeignSetting } from "./foreign-settings.ts";
import type { NixConfSetting, Where } from "./nix-conf.ts";
import { printWhere } from "./nix-conf.ts";
import type { Settings, Surroundings } from "./settings.ts";
import { findSetting, SETTING_ROWS, settingKey } from "./settings.ts";

/** The `file` of settings given as flags. */
export const COMMAND_LINE = "command line";

/** Whose settings a source holds. Those of the user, unlike those of the machine, are forwarded to stores (as in Nix). */
export type SourceLevel = "machine" | "user";

/** One source of settings with its includes read: a file, `NIX_CONFIG`, or the command line. */
export interface SettingSource {
  readonly level: SourceLevel;
  readonly settings: readonly NixConfSetting[];
}

export interface MergedSettings {
  readonly settings: Settings;
  /** Where each setting that differs from its default was last set, by canonical name. */
  readonly origins: ReadonlyMap<string, Where>;
  /** Canonical name → printed value of the settings that the user (not the machine's nix.conf) set. */
  readonly userSettings: ReadonlyMap<string, string>;
  /** Nix settings that mean nothing to this program, as the user set them: name (with `extra-`) → text. */
  readonly foreignSettings: ReadonlyMap<string, string>;
  /** In Nix's words: `unknown setting 'x'`. */
  readonly warnings: readonly string[];
}

/** Experimental features that, when enabled, a machine also offers to builds by default (manual, `system-features`). */
const IMPLIED_FEATURES = ["ca-derivations", "recursive-nix"];

/**
 * Merges sources given in rising precedence: the machine's nix.conf, the user's files, NIX_CONFIG, the command line. `extra-NAME` appends to the
 * earlier value; any other assignment replaces it.
 * @throws EngineError `CONFIG_BAD_VALUE` naming where the setting stands, what was found and what was expected.
 */
export function mergeSettings(sources: readonly SettingSource[], surroundings: Surroundings): MergedSettings {
  const values = new Map<string, unknown>();
  for (const [name, row] of SETTING_ROWS) values.set(name, row.defaultValue(surroundings));
  const origins = new Map<string, Where>();
  const userNames = new Set<string>();
  const replaced = new Set<string>();
  const foreignSettings = new Map<string, string>();
  const warnings = new Set<string>();

  for (const { level, settings } of sources) {
    for (const setting of settings) {
      const found = findSetting(setting.name);
      const row = found === null ? undefined : SETTING_ROWS.get(found.name);
      if (found === null || row === undefined) {
        if (!isForeignSetting(setting.name)) warnings.add(`unknown setting '${setting.name}'`);
        else if (level === "user") foreignSettings.set(setting.name, setting.value);
        continue;
      }
      const value = row.kind.parse(setting.value);
      if (value === undefined) throw badValue(setting, row.kind.expected);
      const before = values.get(found.name);
      values.set(found.name, found.append && row.kind.append !== null ? row.kind.append(before, value) : value);
      origins.set(found.name, setting.where);
      if (level === "user") userNames.add(found.name);
      if (!found.append) replaced.add(found.name);
    }
  }

  if (!replaced.has("system-features")) {
    const offered = values.get("system-features") as ReadonlySet<string>;
    const enabled = values.get("experimental-features") as ReadonlySet<string>;
    values.set("system-features", new Set([...offered, ...IMPLIED_FEATURES.filter((name) => enabled.has(name))]));
  }
  const settings: Record<string, unknown> = {};
  for (const [name, value] of values) settings[settingKey(name)] = value;
  const userSettings = new Map(
    [...userNames].map((name) => [name, SETTING_ROWS.get(name)?.kind.print(values.get(name)) ?? ""] as const),
  );
  // The table's rows give each key the type that `Settings` derives from the same rows.
  return { settings: settings as unknown as Settings, origins, userSettings, foreignSettings, warnings: [...warnings] };
}

/** Settings from the command line as a source: `--option NAME VALUE` and the flags that stand for settings, in their order. */
export function commandLineSource(overrides: ReadonlyMap<string, string>): SettingSource {
  return {
    level: "user",
    settings: [...overrides].map(([name, value], index) => ({
      type: "setting",
      name,
      value,
      where: { file: COMMAND_LINE, line: index + 1 },
    })),
  };
}

function badValue(setting: NixConfSetting, expected: string): EngineError {
  const where = setting.where.file === COMMAND_LINE ? COMMAND_LINE : printWhere(setting.where);
  return new EngineError(
    "config",
    "CONFIG_BAD_VALUE",
    `${where}: setting '${setting.name}' has invalid value '${setting.value.slice(0, 300)}': expected ${expected}`,
  );
}
