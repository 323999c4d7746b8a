// The engine as the composition root sees it. What is heavy is loaded when it is used, so that `--version` and `--help` cost nothing.
import type { Demo } from "./commands/demo/start.ts";
import type { ServeRequest } from "./commands/serve.ts";
import type { BuildRunRequest, CreatedBuildRun, Surroundings } from "./create-build-run.ts";

export { type Clock, systemClock } from "./clock.ts";
export type { Demo, DemoReport } from "./commands/demo/start.ts";
export { type LoadedConfig, loadConfig } from "./config/load.ts";
export { SETTING_ROWS } from "./config/settings.ts";
export type { BuildRunRequest, CreatedBuildRun, Surroundings } from "./create-build-run.ts";
export { EngineError, messageOf } from "./errors.ts";
export type { InstallableWords } from "./evaluate/installable.ts";
export type { EvaluationOptions } from "./evaluate/nix-options.ts";
export type { EngineEvent, PublishedEvent, RunOutcome } from "./events/event.ts";
export type { RequestId } from "./events/ids.ts";
export { printEventLine } from "./events/json-lines.ts";
export { parseRecording, printRecordingHeader, type Recording } from "./events/recording.ts";
export { createReplay, type Replay } from "./events/replay.ts";
export type { EngineRequest } from "./events/request.ts";

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

/** Serves an embedded store on standard input and output until the client hangs up (`serve`); resolves with the exit status. */
export async function serveStore(request: ServeRequest, surroundings: Surroundings): Promise<number> {
  const { serveStore: serve } = await import("./commands/serve.ts");
  return serve(request, surroundings);
}

/** Starts the three builders of `demo` and says how to run builds on them. */
export async function startDemo(surroundings: Surroundings): Promise<Demo> {
  const { startDemo: start } = await import("./commands/demo/start.ts");
  return start(surroundings);
}
