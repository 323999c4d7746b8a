// The engine as the composition root sees it. What is heavy is loaded when it is used, so that `--version` and `--help` cost nothing.

import type { Surroundings } from "./base/surroundings.ts";
import type { ProbedBuilder } from "./commands/builders.ts";
import type { GarbageRequest } from "./commands/collect-garbage.ts";
import type { CopyReporter, CopyRequest } from "./commands/copy.ts";
import type { DeleteRequest } from "./commands/delete.ts";
import type { Demo } from "./commands/demo/start.ts";
import type { GenerateKeyRequest } from "./commands/generate-key.ts";
import type { HooksRequest } from "./commands/hooks.ts";
import type { ResolveRequest } from "./commands/resolve-paths.ts";
import type { ServeRequest } from "./commands/serve.ts";
import type { SignPathsRequest } from "./commands/sign-paths.ts";
import type { VerifyFault, VerifyRequest } from "./commands/verify.ts";
import type { LoadedConfig } from "./config/load.ts";
import type { EngineEvent } from "./events/event.ts";
import type { BuildRunRequest, CreatedBuildRun } from "./run/create-build-run.ts";
import type { WatchRequest } from "./watch/create-watch-run.ts";
import type { WatchRun } from "./watch/watch-run.ts";

export { type Clock, systemClock } from "./base/clock.ts";
export { asSentence, EngineError, messageOf, stopped } from "./base/errors.ts";
export { readBack } from "./base/read-back.ts";
export type { Surroundings } from "./base/surroundings.ts";
export type { GarbageTask } from "./commands/collect-garbage.ts";
export type { CopyProgress, CopyReporter, CopyRequest } from "./commands/copy.ts";
export type { Demo, DemoReport } from "./commands/demo/start.ts";
export type { HookChoice } from "./commands/hooks.ts";
export type { VerifyFault } from "./commands/verify.ts";
export { type LoadedConfig, loadConfig } from "./config/load.ts";
export { SETTING_ROWS } from "./config/settings.ts";
export { parseAmount } from "./config/value-kinds.ts";
export { ReportBuilder } from "./differences/report/report.ts";
export { reportJson, reportTable } from "./differences/report/report-text.ts";
export type { InstallableWords } from "./evaluate/installable.ts";
export type { EvaluationOptions } from "./evaluate/nix-options.ts";
export type { EngineEvent, PublishedEvent, RunOutcome } from "./events/event.ts";
export type { RequestId } from "./events/ids.ts";
export { printEventLine } from "./events/json-lines.ts";
export { jsonText } from "./events/json-text.ts";
export { parseRecording, printRecordingHeader, type Recording } from "./events/recording.ts";
export { createReplay, type Replay } from "./events/replay.ts";
export type { EngineRequest } from "./events/request.ts";
export type { BuildRunRequest, CreatedBuildRun } from "./run/create-build-run.ts";

/** Makes a run of builds; see {@link CreatedBuildRun}. @throws EngineError of family `config` or `usage` */
export async function createBuildRun(request: BuildRunRequest, surroundings: Surroundings): Promise<CreatedBuildRun> {
  const { createBuildRun: create } = await import("./run/create-build-run.ts");
  return create(request, surroundings);
}

/** The program's place on PATH, null when it is nowhere. */
export async function findProgram(name: string, environment: Surroundings["environment"]): Promise<string | null> {
  const { findProgram: find } = await import("./stores/open/open-destination.ts");
  return find(name, environment);
}

/** Connects to a store and says what answered (`ping-store`). @throws EngineError beginning with `cannot connect to` */
export async function pingStore(overrides: ReadonlyMap<string, string>, surroundings: Surroundings) {
  const { pingStore: ping } = await import("./commands/ping-store.ts");
  return ping(overrides, surroundings);
}

export type { ProbedBuilder };

/** Probes every machine of the list (`builders`). */
export async function probeBuilders(
  overrides: ReadonlyMap<string, string>,
  surroundings: Surroundings,
  answered?: (builder: ProbedBuilder) => void,
) {
  const { probeBuilders: probe } = await import("./commands/builders.ts");
  return probe(overrides, surroundings, answered);
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

/** Copies paths between two stores (`copy`). */
export async function copyStorePaths(
  request: CopyRequest,
  surroundings: Surroundings,
  report: CopyReporter,
  signal: AbortSignal,
) {
  const { copy } = await import("./commands/copy.ts");
  return copy(request, surroundings, report, signal);
}

/** Deletes paths nothing needs any more (`delete`). */
export async function deleteStorePaths(request: DeleteRequest, surroundings: Surroundings) {
  const { deletePaths } = await import("./commands/delete.ts");
  return deletePaths(request, surroundings);
}

/** Tells or deletes what nothing keeps alive (`gc`). */
export async function collectGarbage(
  request: GarbageRequest,
  surroundings: Surroundings,
  report: { readonly notice: (message: string) => void; readonly warned: (message: string) => void },
  signal: AbortSignal,
) {
  const { collectGarbage: collect } = await import("./commands/collect-garbage.ts");
  return collect(request, surroundings, report, signal);
}

/** The hooks and uploads that are not done (`hooks`). */
export async function listHooks(overrides: ReadonlyMap<string, string>) {
  const { listHooks: list } = await import("./commands/hooks.ts");
  return list(overrides);
}

/** Forgets some of them (`hooks drop`). */
export async function dropHooks(request: HooksRequest, notice: (message: string) => void) {
  const { dropHooks: drop } = await import("./commands/hooks.ts");
  return drop(request, notice);
}

/** Tries some of them now (`hooks retry`). */
export async function retryHooks(
  request: HooksRequest & { readonly uploadTo: string | null },
  surroundings: Surroundings,
  report: { readonly event: (event: EngineEvent) => void; readonly warned: (message: string, hint?: string) => void },
  signal: AbortSignal,
) {
  const { retryHooks: retry } = await import("./commands/hooks.ts");
  return retry(request, surroundings, report, signal);
}

/** The words of `realise`, links followed. */
export async function storeWords(words: readonly string[], cwd: string) {
  const { storeWords: follow } = await import("./commands/resolve-paths.ts");
  return follow(words, cwd);
}

/** Finds logs of builds (`log`). */
export async function readLogs(request: ResolveRequest, surroundings: Surroundings, warned: (message: string) => void) {
  const { readLogs: read } = await import("./commands/log.ts");
  return read(request, surroundings, warned);
}

/** Signs paths (`sign-paths`). */
export async function signStorePaths(request: SignPathsRequest, surroundings: Surroundings) {
  const { signPaths } = await import("./commands/sign-paths.ts");
  return signPaths(request, surroundings);
}

/** Makes a key pair (`generate-binary-cache-key`). */
export async function generateKey(request: GenerateKeyRequest): Promise<void> {
  const { generateKey: generate } = await import("./commands/generate-key.ts");
  await generate(request);
}

/** Checks that paths are whole and trusted (`verify`). */
export async function verifyStorePaths(
  request: VerifyRequest,
  surroundings: Surroundings,
  report: { readonly found: (fault: VerifyFault) => void; readonly warned: (message: string) => void },
  signal: AbortSignal,
) {
  const { verify } = await import("./commands/verify.ts");
  return verify(request, surroundings, report, signal);
}
export { proseWithoutPasswords } from "./base/without-password.ts";

/** Watches a Nix command or a log of one (`watch`). @throws EngineError of family `config` */
export async function createWatchRun(
  request: WatchRequest,
  surroundings: Surroundings,
): Promise<{ readonly run: WatchRun; readonly config: LoadedConfig }> {
  const { createWatchRun: create } = await import("./watch/create-watch-run.ts");
  return create(request, surroundings);
}
