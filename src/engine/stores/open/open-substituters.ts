// Opens the stores of the `substituters` setting for an embedded store: binary caches, and stores reached over SSH.
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { EngineError, wordsOf } from "../../base/errors.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { parseStoreReference, printStoreReference, type StoreReference } from "../../config/store-reference.ts";
import { Transports } from "../../transports/open.ts";
import type { SshSettings } from "../../transports/ssh/config/ssh-settings.ts";
import { DiskCache } from "../binary-cache/disk-cache.ts";
import { openCache } from "../binary-cache/open-cache.ts";
import { type OpenSource, type Source, Substituters } from "../binary-cache/substituters.ts";
import { openRemote } from "./open-remote.ts";

export interface OpenSubstitutersOptions {
  readonly config: LoadedConfig;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly sshSettings: SshSettings;
  readonly notice: (message: string) => void;
  /** Leaves out references it rejects; all are used when absent. */
  readonly accepts?: (reference: StoreReference) => boolean;
}

/** The user's disk cache of what binary caches have. */
export function openDiskCache(config: LoadedConfig, clock: Clock): DiskCache {
  const { narinfoCachePositiveTtl, narinfoCacheNegativeTtl } = config.settings;
  return new DiskCache({
    directory: join(config.places.cacheHome, "tsbuild-top"),
    clock,
    positiveTtl: narinfoCachePositiveTtl,
    negativeTtl: narinfoCacheNegativeTtl,
  });
}

/**
 * The substituters of the settings, none when `substitute` is off. Nothing is opened or queried before a path is wanted; problems with one are
 * reported to `notice`, and the others are used.
 */
export function openSubstituters(options: OpenSubstitutersOptions): Substituters {
  const { config, clock, notice } = options;
  const { settings, context } = config;
  const sources: Source[] = [];
  let diskCache: DiskCache | null = null;
  for (const text of settings.substitute ? new Set(settings.substituters) : []) {
    try {
      const { reference, warnings } = parseStoreReference(text, context);
      if (options.accepts?.(reference) === false) continue;
      for (const warning of warnings) notice(warning);
      const open = openerOf(reference, options, () => {
        diskCache ??= openDiskCache(config, clock);
        return diskCache;
      });
      const { priority, trusted } = reference.parameters;
      sources.push({ uri: printStoreReference(reference), priority, trusted, open });
    } catch (error) {
      notice(`substituter is left out: ${wordsOf(error)}`);
    }
  }
  return new Substituters({ sources, clock, notice, onClose: () => diskCache?.close() });
}

/** The substituters that a daemon may be unable to use: its Nix may lack S3, and it does not have this user's credentials. */
export function openS3Substituters(options: OpenSubstitutersOptions): Substituters {
  return openSubstituters({
    ...options,
    accepts: (reference) => reference.type === "cache" && reference.scheme === "s3",
  });
}

function openerOf(
  reference: StoreReference,
  options: OpenSubstitutersOptions,
  diskCache: () => DiskCache,
): () => Promise<OpenSource> {
  const { config, environment, clock, notice, sshSettings } = options;
  switch (reference.type) {
    case "cache":
      return async () => {
        const { settings } = config;
        const store = openCache({
          reference,
          settings,
          environment,
          clock,
          notice,
          random: Math.random,
          diskCache: diskCache(),
        });
        return {
          priority: async (signal) => (await store.demandCache(signal)).priority ?? 0,
          queryPathInfos: (paths, signal) => store.queryPathInfos(paths, signal),
          narFromPath: (path, size, signal) => store.narFromPath(path, size, signal),
          checksNars: store.checksNars,
          downloadSize: (path) => store.knownNarInfo(path)?.fileSize ?? 0n,
          close: () => store.close(),
        };
      };
    case "ssh":
      return async () => {
        const transports = new Transports({ clock, environment, notice: ({ message }) => notice(message) });
        try {
          const { store } = await openRemote(
            {
              reference,
              transports,
              sshSettings,
              clock,
              maxBuilds: 1,
              useSubstitutes: false,
              wrap: (opener) => opener,
            },
            new AbortController().signal,
          );
          return {
            priority: async () => 0,
            queryPathInfos: (paths, signal) => store.queryPathInfos(paths, signal),
            narFromPath: (path, size, signal) => store.narFromPath(path, size, signal),
            checksNars: store.checksNars,
            downloadSize: () => 0n,
            close: async () => {
              await store.close();
              transports.close();
            },
          };
        } catch (error) {
          transports.close();
          throw error;
        }
      };
    default:
      throw new EngineError(
        "config",
        "SUBSTITUTER_UNSUPPORTED",
        `'${printStoreReference(reference)}': expected a binary cache or ssh://HOST as a substituter`,
        { hint: "copy from stores on this machine with: tsbuild-top copy --from" },
      );
  }
}
