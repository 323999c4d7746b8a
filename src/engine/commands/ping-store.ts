// `ping-store`: connects to one store and says what answered, in the words of the manual (Nix manual, Remote Builds).
import { systemClock } from "../base/clock.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import { openAnyStore } from "../stores/open/open-any-store.ts";
import type { StoreDescription } from "../stores/store.ts";

/** What answered, and what should be known beside it. */
export interface PingAnswer {
  readonly description: StoreDescription;
  readonly warnings: readonly string[];
}

/** Connects to the store of the settings. @throws EngineError beginning with `cannot connect to` */
export async function pingStore(
  overrides: ReadonlyMap<string, string>,
  surroundings: Surroundings,
): Promise<PingAnswer> {
  const config = loadConfig(overrides);
  const warnings = [...config.warnings];
  const { settings } = config;
  const notice = (message: string): void => void warnings.push(message);
  const opened = await openAnyStore(settings.store, config, surroundings, systemClock, notice);
  try {
    return { description: await opened.describe(), warnings };
  } finally {
    await opened.close();
  }
}
