// Makes a run out of what a command line says: loads the configuration and gives every part what it needs of it.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { BuildRun } from "./build-run.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type LoadedConfig, loadConfig, loadMachines } from "./config/load.ts";
import { parseSshOptions } from "./config/ssh-options.ts";
import { EngineError, messageOf } from "./errors.ts";
import { runBuildFile } from "./evaluate/build-file/run-build-file.ts";
import { type InstallableWords, parseInstallables } from "./evaluate/installable.ts";
import type { EvaluationOptions } from "./evaluate/nix-options.ts";
import { runPostBuildHook } from "./hooks/post-build-hook.ts";
import { openSubstituters } from "./open-substituters.ts";
import type { HookRunner } from "./scheduler/driver.ts";
import { type EmbeddedStore, openEmbeddedStore } from "./stores/embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS } from "./stores/embedded/settings.ts";
import { NO_SSH_SETTINGS, type SshSettings, settingsFromOptions } from "./transports/ssh-settings.ts";
import type { TransportOpener } from "./transports/transport.ts";

/** The environment and the directory the user called us in. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** `tsbuild-top 0.1.0`. */
  readonly program: string;
}

/** What a build command asks for. */
export interface BuildRunRequest {
  /** Settings from the command line, by the name given. */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly installables: InstallableWords;
  readonly evaluation: Omit<EvaluationOptions, "store" | "settingsOverrides">;
  readonly check: "no" | "valid" | "build";
  readonly diffoscope: boolean;
  readonly outLink: string | null;
  readonly dryRun: boolean;
  /** `--upload-to`: the store results are copied to; null for none. */
  readonly uploadTo: string | null;
}

/** Ready to run, with the settings the user interface needs. */
export interface CreatedBuildRun {
  readonly run: BuildRun;
  readonly config: LoadedConfig;
}

/**
 * Makes a run; nothing is connected or evaluated yet.
 * @param wrapOpener changes how machines are reached (a delay, for benchmarks)
 * @throws EngineError of family `config` or `usage`
 */
export function createBuildRun(
  request: BuildRunRequest,
  surroundings: Surroundings,
  clock: Clock = systemClock,
  wrapOpener: (opener: TransportOpener) => TransportOpener = (opener) => opener,
): CreatedBuildRun {
  const { environment, cwd } = surroundings;
  const config = loadConfig(request.settingsOverrides);
  const { sshSettings, warnings } = readSshOptions(environment);
  const runId = randomUUID();
  const run = new BuildRun({
    config: { ...config, warnings: [...config.warnings, ...warnings] },
    machines: loadMachines(config),
    installables: parseInstallables(request.installables),
    evaluation: { ...request.evaluation, settingsOverrides: request.settingsOverrides },
    check: request.check,
    diffoscope: request.diffoscope,
    outLink: request.outLink,
    dryRun: request.dryRun,
    clock,
    random: Math.random,
    environment,
    cwd,
    program: surroundings.program,
    runId,
    sshSettings,
    openEmbedded: (root) => openEmbedded(root, config, environment, clock, (message) => run.say(message)),
    evaluateBuildFile: (store) => (file, attributes) =>
      runBuildFile({
        file,
        attributes,
        arguments: request.evaluation.arguments,
        store,
        cwd,
        environment,
        onMessage: (line) => run.say(line),
        signal: null,
      }),
    hooks: hookRunner(config, environment, cwd, clock),
    openHookQueue: async (destination, infos, publish) => {
      const { openHookQueue } = await import("./hook-queue.ts");
      const { uploadTo } = request;
      return openHookQueue({
        ...{ config, surroundings, clock, runId, uploadTo, destination, infos, publish },
        random: Math.random,
      });
    },
    wrapOpener,
  });
  return { run, config };
}

/** NIX_SSHOPTS as far as it can be honoured. */
export function readSshOptions(environment: Readonly<Record<string, string | undefined>>): {
  readonly sshSettings: SshSettings;
  readonly warnings: readonly string[];
} {
  const text = environment.NIX_SSHOPTS ?? "";
  if (text === "") return { sshSettings: NO_SSH_SETTINGS, warnings: [] };
  const { options, warnings } = parseSshOptions(text);
  return { sshSettings: settingsFromOptions(options), warnings };
}

/** Opens an embedded store with the settings of the configuration. */
export async function openEmbedded(
  root: string,
  config: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  notice: (message: string) => void = () => undefined,
): Promise<EmbeddedStore> {
  const { settings } = config;
  const { sshSettings } = readSshOptions(environment);
  const substituters = openSubstituters({ config, environment, clock, sshSettings, notice });
  const store = await openEmbeddedStore({
    root,
    clock,
    random: Math.random,
    substituters: substituters.ports,
    settings: {
      ...DEFAULT_EMBEDDED_SETTINGS,
      system: settings.system,
      extraPlatforms: [...settings.extraPlatforms],
      systemFeatures: [...settings.systemFeatures],
      cores: settings.cores ?? 0,
      requireSignatures: settings.requireSigs,
      trustedPublicKeys: [...settings.trustedPublicKeys],
      secretKeys: settings.secretKeyFiles.map(readKeyFile),
      sandboxPaths: settings.sandboxPaths.size === 0 ? null : [...settings.sandboxPaths],
      keepBuildLog: settings.keepBuildLog,
      keepDerivations: settings.keepDerivations,
      keepOutputs: settings.keepOutputs,
      environment,
    },
  });
  return substituters.closeWith(store);
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new EngineError(
      "config",
      "SECRET_KEY_UNREADABLE",
      `secret-key-files: cannot read '${path}': ${messageOf(error)}`,
      {
        hint: "make one with: tsbuild-top generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE",
        cause: error,
      },
    );
  }
}

function hookRunner(
  config: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
  clock: Clock,
): HookRunner {
  const { settings } = config;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value !== undefined) env[name] = value;
  return {
    run: async (_hook, drvPath, outPaths, report, signal) => {
      report.started(1);
      const program = settings.postBuildHook;
      if (program === null) return { failure: null, durationMs: 0 };
      const timeoutMs = settings.postBuildHookTimeout * 1000;
      const nixConfig = [...config.userSettings].map(([name, value]) => `${name} = ${value}\n`).join("");
      return runPostBuildHook(
        { program, timeoutMs, env, nixConfig, cwd, clock },
        drvPath,
        outPaths,
        report.logged,
        signal,
      );
    },
  };
}
