// Makes a run out of what a command line says: loads the configuration and gives every part what it needs of it.

import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { type LoadedConfig, loadConfig, loadMachines } from "../config/load.ts";
import { storeWarnings } from "../config/store-settings.ts";
import { runBuildFile } from "../evaluate/build-file/run-build-file.ts";
import { type InstallableWords, parseInstallables, writtenFor } from "../evaluate/installable.ts";
import type { EvaluationOptions } from "../evaluate/nix-options.ts";
import { runPostBuildHook } from "../hooks/post-build-hook.ts";
import type { HookRunner } from "../scheduler/perform/driver-options.ts";
import { openOwnCaches } from "../stores/open/open-own-caches.ts";
import { readSshOptions } from "../stores/open/ssh-environment.ts";
import type { TransportOpener } from "../transports/transport.ts";
import { BuildRun } from "./build-run.ts";

/** What a build command asks for. */
export interface BuildRunRequest {
  /** Settings from the command line, by the name given. */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly installables: InstallableWords;
  readonly evaluation: Omit<EvaluationOptions, "store" | "settingsOverrides">;
  readonly check: "no" | "valid" | "build";
  readonly diffoscope: boolean;
  readonly outLink: string | null;
  /** The profile that gets a generation of the one result; null: none. */
  readonly profile: string | null;
  readonly dryRun: boolean;
  /** A run that ended badly waits for a `leave` request: somebody watches who may want things tried again. */
  readonly holdWhenFailed: boolean;
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
    config: { ...config, warnings: [...config.warnings, ...warnings, ...storeWarnings(config)] },
    machines: loadMachines(config),
    installables: parseInstallables(request.installables),
    evaluation: { ...request.evaluation, settingsOverrides: request.settingsOverrides },
    check: request.check,
    diffoscope: request.diffoscope,
    outLink: request.outLink === null ? null : { base: request.outLink, numbering: writtenFor(request.installables) },
    profile: request.profile,
    dryRun: request.dryRun,
    holdWhenFailed: request.holdWhenFailed,
    clock,
    random: Math.random,
    environment,
    cwd,
    program: surroundings.program,
    runId,
    sshSettings,
    stores: {
      // Loaded where it is needed: it is half of the program.
      openEmbedded: async (root, forStore) => {
        const { openEmbedded } = await import("../stores/open/open-embedded.ts");
        return openEmbedded(root, forStore, environment, clock, (message) => run.say(message));
      },
      openOwnCaches: () =>
        openOwnCaches({ config, environment, clock, sshSettings, notice: (message) => run.say(message) }),
    },
    evaluateBuildFile: (store) => (file, attributes, signal) =>
      runBuildFile({
        file,
        attributes,
        arguments: request.evaluation.arguments,
        store,
        cwd,
        environment,
        onMessage: (line) => run.say(line),
        signal,
      }),
    hooks: hookRunner(config, environment, cwd, clock),
    openHookQueue: async (destination, infos, publish) => {
      const { openHookQueue } = await import("./listeners/background-hooks.ts");
      const { uploadTo } = request;
      return openHookQueue({
        config,
        surroundings,
        clock,
        runId,
        uploadTo,
        destination,
        infos,
        publish,
        random: Math.random,
        holdWhenFailed: request.holdWhenFailed,
      });
    },
    wrapOpener,
  });
  return { run, config };
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
