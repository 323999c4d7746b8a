// Which settings the parameters of a store reference override, for that store alone.
import type { LoadedConfig } from "./load.ts";
import { parseStoreReference, type StoreReference } from "./store-reference.ts";

/** Warnings about the reference of the `store` setting; opening the store refuses one that cannot be read. */
export function storeWarnings({ settings, context }: LoadedConfig): readonly string[] {
  try {
    return parseStoreReference(settings.store, context).warnings;
  } catch {
    return [];
  }
}

/** The configuration for one store: `?require-sigs=` of a store on this machine's disk overrides the setting (manual, local store). */
export function settingsForStore(config: LoadedConfig, reference: StoreReference): LoadedConfig {
  if (reference.type !== "local") return config;
  const { requireSigs } = reference.parameters;
  if (requireSigs === null) return config;
  return {
    ...config,
    settings: { ...config.settings, requireSigs },
    userSettings: new Map([...config.userSettings, ["require-sigs", String(requireSigs)]]),
  };
}
