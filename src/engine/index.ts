// The engine as the composition root sees it. What is heavy is loaded when it is used, so that `--version` and `--help` cost nothing.
import type { BuildRunRequest, CreatedBuildRun, Surroundings } from "./create-build-run.ts";

export { type Clock, systemClock } from "./clock.ts";
export { type LoadedConfig, loadConfig } from "./config/load.ts";
export { SETTING_ROWS } from "./config/settings.ts";
export { EngineError, messageOf } from "./errors.ts";
export type { InstallableWords } from "./evaluate/installable.ts";
export type { EvaluationOptions } from "./evaluate/nix-options.ts";
export type { EngineEvent, PublishedEvent, RunOutcome } from "./events/event.ts";
export type { RequestId } from "./events/ids.ts";
export type { EngineRequest } from "./events/request.ts";
export type { BuildRunRequest, CreatedBuildRun, Surroundings } from "./create-build-run.ts";

/** Makes a run of builds; see {@link CreatedBuildRun}. @throws EngineError of family `config` or `usage` */
export async function createBuildRun(request: BuildRunRequest, surroundings: Surroundings): Promise<CreatedBuildRun> {
  const { createBuildRun: create } = await import("./create-build-run.ts");
  return create(request, surroundings);
}

/** Connects to a store and says what answered (`ping-store`). @throws EngineError beginning with `cannot connect to` */
export async function pingStore(overrides: ReadonlyMap<string, string>, surroundings: Surroundings) {
  const { pingStore: ping } = await import("./commands/ping-store.ts");
  return ping(overrides, surroundings);
}

/** Probes every machine of the list (`builders`). */
export async function probeBuilders(overrides: ReadonlyMap<string, string>, surroundings: Surroundings) {
  const { probeBuilders: probe } = await import("./commands/builders.ts");
  return probe(overrides, surroundings);
}
