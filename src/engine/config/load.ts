// Loads the configuration: the only place in this folder that reads files and the environment.
import { accessSync, closeSync, constants, openSync, readSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { messageOf } from "../base/errors.ts";
import { STORE_DIR } from "../formats/store-path.ts";
import type { HostFacts } from "./host.ts";
import { extraPlatformsOf, systemFeaturesOf, systemOf } from "./host.ts";
import type { FileRead, MachinesResult, ReadFile } from "./machine-list.ts";
import { parseMachines } from "./machine-list.ts";
import type { MergedSettings } from "./merge.ts";
import { COMMAND_LINE, commandLineSource, mergeSettings } from "./merge.ts";
import type { ConfigPlaces, Environment } from "./nix-conf-files.ts";
import { configPlaces, nonEmpty, readSources, relativeDirectories } from "./nix-conf-files.ts";
import type { Surroundings } from "./settings.ts";
import type { ReferenceContext } from "./store-reference.ts";

/** Maximum size of a configuration file in bytes; nothing larger is a configuration. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** What loading the configuration depends on. */
export interface ConfigWorld {
  readonly environment: Environment;
  readonly host: HostFacts;
  readonly cwd: string;
  readonly readFile: ReadFile;
}

export interface LoadedConfig extends MergedSettings {
  /** What relative store references are resolved against. */
  readonly context: ReferenceContext;
  readonly places: ConfigPlaces;
}

/**
 * Loads files, environment and command line into settings.
 * @param overrides Settings from the command line in the order given, by the name they were given with.
 * @throws EngineError of family `config`, naming file and line.
 */
export function loadConfig(overrides: ReadonlyMap<string, string>, world: ConfigWorld = systemWorld()): LoadedConfig {
  const { environment, host, cwd } = world;
  const places = configPlaces(environment, host.home);
  const { sources, warnings } = readSources(environment, places, cwd, world.readFile);
  const merged = mergeSettings([...sources, commandLineSource(overrides)], surroundings(world, places));
  const storeDir = nonEmpty(environment, "NIX_STORE_DIR") ?? nonEmpty(environment, "NIX_STORE");
  const ignored =
    storeDir === null || storeDir === STORE_DIR
      ? []
      : [`NIX_STORE_DIR is '${storeDir}', but only stores at '${STORE_DIR}' are supported`];
  return {
    ...merged,
    warnings: [...relativeDirectories(environment), ...warnings, ...ignored, ...merged.warnings],
    context: { cwd, home: host.home },
    places,
  };
}

/** The machines of the `builders` setting, including `@file` lists, and all problems with them. */
export function loadMachines(
  config: LoadedConfig,
  world: Pick<ConfigWorld, "readFile"> = systemWorld(),
): MachinesResult {
  const { builders, system } = config.settings;
  const set = config.origins.get("builders");
  const origin =
    set === undefined
      ? { file: "builders", line: 1 }
      : set.file === COMMAND_LINE
        ? { file: "--builders", line: 1 }
        : set;
  return parseMachines(builders, origin, { ...config.context, defaultSystem: system, readFile: world.readFile });
}

function surroundings({ environment, host }: ConfigWorld, places: ConfigPlaces): Surroundings {
  const stateDir = nonEmpty(environment, "NIX_STATE_DIR") ?? "/nix/var/nix";
  const lists = environment.NIX_REMOTE_SYSTEMS;
  return {
    system: systemOf(host),
    extraPlatforms: extraPlatformsOf(host),
    systemFeatures: systemFeaturesOf(host),
    isRoot: host.isRoot,
    store: environment.NIX_REMOTE ?? "auto",
    builders:
      lists === undefined
        ? `@${places.confDir}/machines`
        : lists
            .split(":")
            .filter((file) => file !== "")
            .map((file) => `@${file}`)
            .join("\n"),
    confDir: places.confDir,
    stateDir,
    logDir: nonEmpty(environment, "NIX_LOG_DIR") ?? "/nix/var/log/nix",
    daemonSocket: nonEmpty(environment, "NIX_DAEMON_SOCKET_PATH") ?? `${stateDir}/daemon-socket/socket`,
    dataHome: places.dataHome,
    stateHome: places.stateHome,
  };
}

/** This process's environment, directory and machine. */
export function systemWorld(): ConfigWorld {
  return { environment: process.env, host: systemHost(), cwd: process.cwd(), readFile: readTextFile };
}

function systemHost(): HostFacts {
  const cpuinfo = readTextFile("/proc/cpuinfo");
  const flags = cpuinfo.type === "text" ? /^flags\s*:(.*)$/m.exec(cpuinfo.text)?.[1] : undefined;
  return {
    platform: process.platform,
    arch: process.arch,
    cpuFlags: new Set((flags ?? "").trim().split(/\s+/)),
    hasKvm: mayUse("/dev/kvm"),
    isRoot: process.getuid?.() === 0,
    home: homeDirectory(),
  };
}

/** `HOME`, or the account's home directory when `HOME` is not an absolute path. */
function homeDirectory(): string {
  const home = homedir();
  if (home.startsWith("/")) return home;
  try {
    return userInfo().homedir;
  } catch {
    // The account is not in the user database.
    return "/";
  }
}

function mayUse(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Reads a file (or a pipe, as in `--builders @<(…)`) of at most 16 MiB as UTF-8. */
export function readTextFile(path: string): FileRead {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (error) {
    return isMissing(error) ? { type: "missing" } : { type: "unreadable", reason: messageOf(error) };
  }
  try {
    const chunks: Buffer[] = [];
    for (let total = 0; total <= MAX_FILE_BYTES; ) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const length = readSync(descriptor, chunk);
      if (length === 0) return { type: "text", text: Buffer.concat(chunks).toString("utf8") };
      chunks.push(chunk.subarray(0, length));
      total += length;
    }
    return { type: "unreadable", reason: `it has more than ${MAX_FILE_BYTES} bytes` };
  } catch (error) {
    return { type: "unreadable", reason: messageOf(error) };
  } finally {
    closeSync(descriptor);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
