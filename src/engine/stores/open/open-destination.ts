// Opens the store that results end up in: what `auto`, `daemon`, a directory or a URI means on this machine.
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import type { LoadedConfig } from "../../config/load.ts";
import type { StoreReference } from "../../config/store-reference.ts";
import { parseStoreReference, printStoreReference } from "../../config/store-reference.ts";
import { settingsForStore } from "../../config/store-settings.ts";
import type { TransportPlace, Transports } from "../../transports/open.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import type { Substituters } from "../binary-cache/substituters.ts";
import { readFromDisk } from "../disk-reads.ts";
import { withOwnCaches } from "../own-caches.ts";
import { queryOptions } from "../remote/client-options.ts";
import { type DirectReader, WorkerStore } from "../remote/worker-store.ts";
import type { DestinationStore, StoreDescription } from "../store.ts";
import {
  buildingOverrides,
  daemonFlags,
  fetchingOverrides,
  unheededByEmbedded,
  unheededSettings,
} from "./local-nix-settings.ts";

export interface OpenDestinationOptions {
  readonly config: LoadedConfig;
  readonly transports: Transports;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Opens the embedded store at a root directory. */
  readonly openEmbedded: (root: string, config: LoadedConfig) => Promise<DestinationStore>;
  /** Opens the caches that are read on behalf of a Nix that cannot. */
  readonly openOwnCaches: () => Promise<Substituters | null>;
}

/** The destination, and what else must be known about it. */
export interface OpenedDestination {
  readonly store: DestinationStore;
  readonly description: StoreDescription;
  /** Where `/nix/store` is on this machine's disk: null for `/nix/store` itself, else below this directory. */
  readonly root: string | null;
  /** The store in the form of Nix's `--store`, null for Nix's own choice. */
  readonly nixStore: string | null;
  /** `embedded`: this program's own store and executor. */
  readonly kind: "nix" | "embedded";
  /** The user's settings that the store ignores. */
  readonly unheeded: readonly string[];
}

/**
 * Opens the store of the settings. `auto` is the daemon's socket, else a single-user Nix through `nix-daemon --stdio`, else the embedded store.
 * @throws EngineError of family `config`, `transport` or `store`
 */
export async function openDestination(given: OpenDestinationOptions, signal?: AbortSignal): Promise<OpenedDestination> {
  const { reference } = parseStoreReference(given.config.settings.store, given.config.context);
  const options = { ...given, config: settingsForStore(given.config, reference) };
  const { settings } = options.config;
  const place = await placeOf(reference, options);
  if (place.type === "embedded") {
    const store = await options.openEmbedded(place.root, options.config);
    return {
      store,
      description: await store.describe(signal),
      root: place.root,
      nixStore: place.root,
      kind: "embedded",
      unheeded: unheededByEmbedded(options.config),
    };
  }
  const opener = options.transports.opener(place.place);
  const caches = await options.openOwnCaches();
  // Another socket may belong to a daemon whose store is elsewhere on the disk.
  const isOurs = reference.type !== "daemon" || reference.socket === null;
  const worker = workerStore(options, printStoreReference(reference), opener, isOurs ? readFromDisk : null);
  const store = caches === null ? worker : withOwnCaches(worker, caches);
  try {
    const nixStore = reference.type === "auto" ? null : settings.store;
    const description = await store.describe(signal);
    const isRunning = place.place.type === "unixSocket";
    const unheeded = isRunning ? unheededSettings(options.config, description.trusted) : [];
    return { store, description, root: null, nixStore, kind: "nix", unheeded };
  } catch (error) {
    await store.close();
    throw error;
  }
}

type Place =
  | { readonly type: "embedded"; readonly root: string }
  | { readonly type: "nix"; readonly place: TransportPlace };

async function placeOf(reference: StoreReference, options: OpenDestinationOptions): Promise<Place> {
  const { settings } = options.config;
  switch (reference.type) {
    case "auto": {
      if (await isThere(settings.daemonSocket)) return socket(settings.daemonSocket);
      const daemon = await findProgram("nix-daemon", options.environment);
      const usable = (await isWritable(settings.stateDir)) || (process.getuid?.() === 0 && daemon !== null);
      if (daemon !== null && usable)
        return {
          type: "nix",
          place: { type: "childProcess", command: [daemon, "--stdio", ...daemonFlags(options.config)] },
        };
      return { type: "embedded", root: settings.embeddedRoot };
    }
    case "daemon":
      return socket(reference.socket ?? settings.daemonSocket);
    case "local":
      if (reference.root !== null) return { type: "embedded", root: reference.root };
      return {
        type: "nix",
        place: { type: "childProcess", command: ["nix-daemon", "--stdio", ...daemonFlags(options.config)] },
      };
    case "ssh":
    case "cache":
      throw new EngineError(
        "config",
        "STORE_NOT_A_DESTINATION",
        `cannot build into '${printStoreReference(reference)}': expected a store on this machine (auto, daemon, unix://, a directory)`,
        { hint: "build here and copy the results there: tsbuild-top copy --to URI PATH" },
      );
  }
}

function socket(path: string): Place {
  return { type: "nix", place: { type: "unixSocket", path } };
}

function workerStore(
  options: OpenDestinationOptions,
  uri: string,
  opener: TransportOpener,
  readDirectly: DirectReader | null,
): WorkerStore {
  const { settings } = options.config;
  const overrides = fetchingOverrides(options.config);
  return new WorkerStore({
    uri,
    opener,
    clock: options.clock,
    maxBuilds: 64,
    explain: async (error) => error,
    queryOptions: queryOptions(settings.substitute, settings.fallback, overrides),
    readDirectly,
    // This machine's configuration is ours: its `cores` has already been read.
    machineCores: async () => 0,
    buildOverrides: new Map([
      ...buildingOverrides(options.config),
      ["build-poll-interval", String(Math.max(1, settings.buildPollInterval))],
      // This program runs the hook, once for each build on any machine.
      ...(settings.postBuildHook === null ? [] : [["post-build-hook", ""] as const]),
    ]),
  });
}

async function isThere(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** The program's path on PATH, null when it is not found. */
export async function findProgram(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | null> {
  for (const directory of (environment.PATH ?? "").split(":")) {
    if (!directory.startsWith("/")) continue;
    const candidate = join(directory, name);
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  return null;
}
