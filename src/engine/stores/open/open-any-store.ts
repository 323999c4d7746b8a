// Opens the store of any reference, for commands that only read, copy or query.
import { existsSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { EngineError, withHint } from "../../base/errors.ts";
import type { Surroundings } from "../../base/surroundings.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { type CacheReference, parseStoreReference, type StoreReference } from "../../config/store-reference.ts";
import { Transports } from "../../transports/open.ts";
import type { CacheStore } from "../binary-cache/cache-store.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import { layoutOf } from "../embedded/layout.ts";
import type { DestinationStore, MachineStore, StoreDescription } from "../store.ts";
import { openDestination } from "./open-destination.ts";
import { openOwnCaches } from "./open-own-caches.ts";
import { openRemote } from "./open-remote.ts";
import { readSshOptions } from "./ssh-environment.ts";

/** The kind of store, which decides what it can do. */
type Kind =
  /** This program's own; `root` contains `nix/store`. */
  | { readonly type: "embedded"; readonly store: EmbeddedStore; readonly root: string }
  /** The Nix of this machine. */
  | { readonly type: "daemon"; readonly store: DestinationStore }
  /** Another machine. */
  | { readonly type: "machine"; readonly store: MachineStore }
  | { readonly type: "cache"; readonly store: CacheStore };

/** An open store, and how to close it. */
export type AnyStore = Kind & {
  /** The store in the form of Nix's `--store`, null for Nix's own choice. */
  readonly nixStore: string | null;
  /** Describes the store that answered. Throws for a cache that does not exist. */
  describe(): Promise<StoreDescription>;
  close(): Promise<void>;
};

/**
 * Opens a store by its reference. Sends no request to a binary cache yet.
 * @param directory whether to create a private store if there is none: only for commands that write to it
 * @throws EngineError of family `config`, `transport`, `protocol` or `store`
 */
export async function openAnyStore(
  text: string,
  config: LoadedConfig,
  surroundings: Surroundings,
  clock: Clock,
  notice: (message: string) => void,
  directory: "made" | "demanded" = "demanded",
): Promise<AnyStore> {
  const { environment } = surroundings;
  const { sshSettings, warnings } = readSshOptions(environment);
  for (const warning of warnings) notice(warning);
  const { reference, warnings: unknown } = parseStoreReference(text, config.context);
  for (const warning of unknown) notice(warning);
  if (directory === "demanded") demandDirectory(reference, text);
  if (reference.type === "cache") return openCacheStore(reference, config, environment, clock, notice);
  const transports = new Transports({
    clock,
    environment,
    notice: ({ message, hint }) => notice(withHint(message, hint)),
  });
  const ending = (store: MachineStore) => async (): Promise<void> => {
    await store.close();
    transports.close();
  };
  try {
    if (reference.type === "ssh") {
      const { store, description } = await openRemote(
        { reference, transports, sshSettings, clock, maxBuilds: 1, useSubstitutes: false, wrap: (opener) => opener },
        new AbortController().signal,
      );
      return { type: "machine", store, nixStore: text, describe: async () => description, close: ending(store) };
    }
    let embedded: EmbeddedStore | null = null;
    const { store, description, root, nixStore } = await openDestination({
      config: { ...config, settings: { ...config.settings, store: text } },
      transports,
      clock,
      environment,
      // Load only what the stores at hand need: it is half of the program.
      openEmbedded: async (directory, forStore) => {
        const { openEmbedded } = await import("./open-embedded.ts");
        embedded = await openEmbedded(directory, forStore, environment, clock, notice);
        return embedded;
      },
      openOwnCaches: () => openOwnCaches({ config, environment, clock, sshSettings, notice }),
    });
    const common = { nixStore, describe: async () => description, close: ending(store) };
    if (embedded !== null && root !== null) return { type: "embedded", store: embedded, root, ...common };
    return { type: "daemon", store, ...common };
  } catch (error) {
    transports.close();
    throw error;
  }
}

/** A command that only reads from a store creates none. */
function demandDirectory(reference: StoreReference, text: string): void {
  if (reference.type !== "local" || reference.root === null) return;
  if (existsSync(layoutOf(reference.root).database)) return;
  throw new EngineError("store", "STORE_NOT_THERE", `expected a store at '${reference.root}', found none`, {
    hint: `check the name; building with --store ${text} makes one`,
  });
}

async function openCacheStore(
  reference: CacheReference,
  config: LoadedConfig,
  environment: Surroundings["environment"],
  clock: Clock,
  notice: (message: string) => void,
): Promise<AnyStore> {
  const [{ openCache }, { openDiskCache }] = await Promise.all([
    import("../binary-cache/open-cache.ts"),
    import("./open-substituters.ts"),
  ]);
  // A user who names a cache wants to know what is there now.
  const settings = { ...config.settings, narinfoCacheNegativeTtl: 0 };
  const diskCache = openDiskCache({ ...config, settings }, clock);
  const store = openCache({ reference, settings, environment, clock, random: Math.random, notice, diskCache });
  return {
    type: "cache",
    store,
    nixStore: null,
    describe: () => store.describe(),
    close: async () => {
      await store.close();
      diskCache.close();
    },
  };
}
