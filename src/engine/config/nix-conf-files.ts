// Which nix.conf files apply, in which order, and how their includes are followed; the caller supplies the function that reads them.
import { posix } from "node:path";
import { EngineError } from "../base/errors.ts";
import type { FileRead, ReadFile } from "./machine-list.ts";
import type { SettingSource } from "./merge.ts";
import type { NixConfSetting } from "./nix-conf.ts";
import { parseNixConf, printWhere } from "./nix-conf.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A variable if it is set and not empty. */
export function nonEmpty(environment: Environment, name: string): string | null {
  const value = environment[name];
  return value === undefined || value === "" ? null : value;
}

/** Where the user's and the machine's configuration, data and state lie. */
export interface ConfigPlaces {
  readonly confDir: string;
  /** The user's files, highest precedence first. */
  readonly userFiles: readonly string[];
  readonly configHome: string;
  readonly dataHome: string;
  readonly stateHome: string;
  readonly cacheHome: string;
}

/** The directories of the XDG base directory specification, each of which must be absolute. */
const XDG = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] as const;

/** Variables of no use: a relative directory would be created wherever the program happens to be started. */
export function relativeDirectories(environment: Environment): string[] {
  return ["HOME", ...XDG].flatMap((name) => {
    const value = nonEmpty(environment, name);
    return value === null || value.startsWith("/")
      ? []
      : [`${name} is '${value}', which is not absolute: it is ignored`];
  });
}

/** Reads the places from the environment (Nix manual, nix.conf, "file locations"; XDG base directories). */
export function configPlaces(environment: Environment, home: string): ConfigPlaces {
  const xdg = (name: (typeof XDG)[number], otherwise: string): string => {
    const value = nonEmpty(environment, name);
    return value?.startsWith("/") === true ? value : `${home}/${otherwise}`;
  };
  const configHome = xdg("XDG_CONFIG_HOME", ".config");
  const nixHome = nonEmpty(environment, "NIX_CONFIG_HOME") ?? `${configHome}/nix`;
  const systemDirs = (nonEmpty(environment, "XDG_CONFIG_DIRS") ?? "/etc/xdg").split(":").filter((dir) => dir !== "");
  const listed = environment.NIX_USER_CONF_FILES;
  return {
    confDir: nonEmpty(environment, "NIX_CONF_DIR") ?? "/etc/nix",
    userFiles:
      listed === undefined
        ? [`${nixHome}/nix.conf`, ...systemDirs.map((dir) => `${dir}/nix/nix.conf`)]
        : listed.split(":").filter((file) => file !== ""),
    configHome,
    dataHome: xdg("XDG_DATA_HOME", ".local/share"),
    stateHome: xdg("XDG_STATE_HOME", ".local/state"),
    cacheHome: xdg("XDG_CACHE_HOME", ".cache"),
  };
}

/**
 * All sources except the command line, in rising precedence: the machine's nix.conf, the user's files (the first one listed wins), the file for
 * this program alone (`tsbuild-top/nix.conf` beside the user's `nix/`, so that Nix does not warn about settings it does not know), `NIX_CONFIG`.
 * A missing file counts as empty; an unreadable one is a warning.
 * @throws EngineError `CONFIG_SYNTAX`, `CONFIG_INCLUDE_NOT_FOUND`, `CONFIG_INCLUDE_LOOP`
 */
export function readSources(
  environment: Environment,
  places: ConfigPlaces,
  cwd: string,
  readFile: ReadFile,
): { readonly sources: readonly SettingSource[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const fromFile = (path: string): readonly NixConfSetting[] => {
    const read = readFile(path);
    switch (read.type) {
      case "text":
        return expand(read.text, path, posix.dirname(path), [path]);
      case "missing":
        return [];
      case "unreadable":
        warnings.push(`cannot read '${path}', its settings are ignored: ${read.reason}`);
        return [];
    }
  };

  const expand = (text: string, file: string, directory: string, open: readonly string[]): NixConfSetting[] =>
    parseNixConf(text, file).flatMap((entry) => {
      if (entry.type === "setting") return [entry];
      const path = posix.resolve(directory, entry.path);
      if (open.includes(path)) {
        const message = `${printWhere(entry.where)}: expected a file that does not include itself, found '${path}'`;
        throw new EngineError("config", "CONFIG_INCLUDE_LOOP", message, { hint: "remove one of the includes" });
      }
      return included(readFile(path), path, entry.optional, printWhere(entry.where), open);
    });

  const included = (read: FileRead, path: string, optional: boolean, where: string, open: readonly string[]) => {
    switch (read.type) {
      case "text":
        return expand(read.text, path, posix.dirname(path), [...open, path]);
      case "missing":
        if (optional) return [];
        throw new EngineError("config", "CONFIG_INCLUDE_NOT_FOUND", `${where}: included file '${path}' not found`, {
          hint: "write '!include' if the file may be missing",
        });
      case "unreadable":
        // `!include` keeps secrets from other users: being unable to read them is normal.
        if (!optional) warnings.push(`${where}: cannot read '${path}', its settings are ignored: ${read.reason}`);
        return [];
    }
  };

  const sources: SettingSource[] = [{ level: "machine", settings: fromFile(`${places.confDir}/nix.conf`) }];
  for (const file of places.userFiles.toReversed()) sources.push({ level: "user", settings: fromFile(file) });
  sources.push({ level: "user", settings: fromFile(`${places.configHome}/tsbuild-top/nix.conf`) });
  const inline = environment.NIX_CONFIG;
  if (inline !== undefined) sources.push({ level: "user", settings: expand(inline, "NIX_CONFIG", cwd, []) });
  return { sources, warnings };
}
