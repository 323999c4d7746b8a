// What a run does about results that differ, as the settings say: where they are kept, and what explains them.
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { LoadedConfig } from "../config/load.ts";
import { diffoscopeHook, type HookProgram, nixDiffHook } from "../differences/explain/diffoscope.ts";
import { type DiffHookSettings, readHookUser } from "../differences/hook/diff-hook.ts";
import { Differences } from "../differences/perform/runner.ts";
import type { EngineEvent } from "../events/event.ts";
import { STORE_DIR } from "../formats/store-path.ts";
import { findProgram, type OpenedDestination } from "../stores/open/open-destination.ts";
import type { RunMachine } from "./machine-connector.ts";

export interface DifferencesRequest {
  readonly config: LoadedConfig;
  readonly destination: OpenedDestination;
  readonly machines: readonly RunMachine[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `--diffoscope`. */
  readonly diffoscope: boolean;
  readonly runId: string;
  readonly clock: Clock;
  readonly publish: (event: EngineEvent) => void;
}

/** @throws EngineError `DIFFOSCOPE_MISSING` */
export async function openDifferences(request: DifferencesRequest): Promise<Differences> {
  const { config, destination, machines, runId, clock, publish } = request;
  const { settings } = config;
  const root = destination.root ?? "/";
  const hosts = new Map(
    machines.map(({ spec, listed }) => {
      const host = listed?.store.destination.host ?? spec.machine;
      return [spec.machine, spec.isLocal ? hostname() : host];
    }),
  );
  return new Differences({
    clock,
    publish,
    keepFailed: settings.keepFailed,
    hook: await hookOf(request),
    places: {
      storeDir: join(root, STORE_DIR),
      ownDir: join(settings.journalDir, "differences", runId),
      protect: (path) => destination.store.addTempRoots([path]),
    },
    onDisk: (path) => join(root, path),
    hostName: (machine) => hosts.get(machine) ?? machine,
  });
}

async function hookOf({
  config,
  environment,
  diffoscope,
  clock,
}: DifferencesRequest): Promise<DiffHookSettings | null> {
  const { settings } = config;
  const program = await programOf(settings, diffoscope, environment);
  if (program === null) return null;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value !== undefined) env[name] = value;
  return { program, timeoutMs: 0, env, user: await readHookUser(settings.buildUsersGroup), clock };
}

async function programOf(
  { runDiffHook, diffHook }: LoadedConfig["settings"],
  diffoscope: boolean,
  environment: DifferencesRequest["environment"],
): Promise<HookProgram | null> {
  if (diffoscope) {
    const file = await findProgram("diffoscope", environment);
    if (file !== null) return diffoscopeHook(file);
    throw new EngineError(
      "usage",
      "DIFFOSCOPE_MISSING",
      "--diffoscope: expected a program 'diffoscope' on PATH, found none",
      {
        hint: "install diffoscope, or leave --diffoscope out for the built-in summary",
      },
    );
  }
  return runDiffHook && diffHook !== null ? nixDiffHook(diffHook) : null;
}
