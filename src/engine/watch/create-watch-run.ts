// Makes a run that is only watched out of what a command line says.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { openHistory } from "../memory/history-store.ts";
import { WatchRun, type WatchSource } from "./watch-run.ts";

/** What `watch` asks for. */
export interface WatchRequest {
  /** Settings from the command line, by the name given. */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly source: WatchSource;
}

/** Nothing is read or started yet. @throws EngineError of family `config` */
export function createWatchRun(
  request: WatchRequest,
  { environment, cwd, program }: Surroundings,
): { readonly run: WatchRun; readonly config: LoadedConfig } {
  const config = loadConfig(request.settingsOverrides);
  const history = openHistory(join(config.settings.journalDir, "history.sqlite"));
  const { source } = request;
  const run = new WatchRun({ source, environment, cwd, clock: systemClock, runId: randomUUID(), program, history });
  return { run, config };
}
