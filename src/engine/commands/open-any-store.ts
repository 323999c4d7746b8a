// Opens whatever store a reference names, for commands that only read, copy or ask.
import type { Clock } from "../clock.ts";
import type { LoadedConfig } from "../config/load.ts";
import { parseStoreReference } from "../config/store-reference.ts";
import { openEmbedded, readSshOptions, type Surroundings } from "../create-build-run.ts";
import { EngineError } from "../errors.ts";
import { openDestination } from "../stores/open-destination.ts";
import { openRemote } from "../stores/open-remote.ts";
import type { MachineStore, StoreDescription } from "../stores/store.ts";
import { Transports } from "../transports/open.ts";

/** An open store and what ends it. */
export interface AnyStore {
  readonly store: MachineStore;
  readonly description: StoreDescription;
  close(): Promise<void>;
}

/**
 * Opens a store by its reference.
 * @throws EngineError of family `config`, `transport`, `protocol` or `store`
 */
export async function openAnyStore(
  text: string,
  config: LoadedConfig,
  surroundings: Surroundings,
  clock: Clock,
  notice: (message: string) => void,
): Promise<AnyStore> {
  const { environment } = surroundings;
  const { sshSettings, warnings } = readSshOptions(environment);
  for (const warning of warnings) notice(warning);
  const { reference, warnings: unknown } = parseStoreReference(text, config.context);
  for (const warning of unknown) notice(warning);
  const transports = new Transports({ clock, environment, notice: ({ message }) => notice(message) });
  try {
    if (reference.type === "ssh") {
      const { store, description } = await openRemote(
        { reference, transports, sshSettings, clock, maxBuilds: 1, useSubstitutes: false, wrap: (opener) => opener },
        new AbortController().signal,
      );
      return { store, description, close: () => closeAll(store, transports) };
    }
    if (reference.type === "cache") {
      throw new EngineError(
        "config",
        "STORE_IS_A_CACHE",
        `'${text}' is a binary cache, which cannot be connected to like a store`,
      );
    }
    const opened = await openDestination({
      config: { ...config, settings: { ...config.settings, store: text } },
      transports,
      clock,
      environment,
      openEmbedded: (root) => openEmbedded(root, config, environment, clock),
    });
    return { store: opened.store, description: opened.description, close: () => closeAll(opened.store, transports) };
  } catch (error) {
    transports.close();
    throw error;
  }
}

async function closeAll(store: MachineStore, transports: Transports): Promise<void> {
  await store.close();
  transports.close();
}
