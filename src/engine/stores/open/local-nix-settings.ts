// Which of the user's settings the Nix of this machine is told, and how: when it is started, and for each connection.
//
// A daemon that is started here reads the user's own nix.conf by itself, and gets the rest as flags, which hold for everything it does. To one that runs
// already they go as overrides (SetOptions), which it takes from users it trusts, and which come too late for what it reads when it opens its store.
import type { LoadedConfig } from "../../config/load.ts";

type UserSettings = Pick<LoadedConfig, "userSettings" | "foreignSettings">;

/** Heeded where paths are fetched. */
const FETCHING = [
  "always-allow-substitutes",
  "substituters",
  "trusted-substituters",
  "trusted-public-keys",
  "require-sigs",
  "connect-timeout",
  "stalled-download-timeout",
  "narinfo-cache-negative-ttl",
  "narinfo-cache-positive-ttl",
  "netrc-file",
  "download-attempts",
  "http-connections",
  "max-substitution-jobs",
] as const;

/** Heeded where builders run and their outputs are registered. */
const BUILDING = [
  "secret-key-files",
  "sandbox",
  "sandbox-paths",
  "sandbox-fallback",
  "sandbox-build-dir",
  "build-users-group",
  "system-features",
  "extra-platforms",
  "keep-build-log",
  "compress-build-log",
  "keep-derivations",
  "keep-outputs",
] as const;

/**
 * Told to a daemon when it is started and never later: one that runs keeps its own without a word (daemon.cc). Evaluation is given them too, and a
 * store whose tables are not those of its features is upgraded by the first to open it, while nobody else may have it open: that is the daemon then.
 */
const AT_START = ["experimental-features"] as const;

/** What a daemon takes from a user it does not trust (Nix 2.8 to 2.34: daemon.cc, `ClientSettings::apply`). */
const OPEN_TO_ALL: ReadonlySet<string> = new Set(["connect-timeout", "substituters"]);

/** What a store is opened with, so that an override comes too late. */
const AT_OPENING: ReadonlySet<string> = new Set(["require-sigs"]);

/** Where in the Nix of this machine a setting given here holds. */
export interface LocalReach {
  /** In one that this program starts. */
  readonly started: boolean;
  /** In a daemon that runs already: always, only for users it trusts, or never. */
  readonly running: "always" | "trusted" | "never";
}

/** Null for settings that are this program's own affair, wherever the store is. */
export function localReach(name: string): LocalReach | null {
  const told: readonly string[] = [...FETCHING, ...BUILDING];
  if ((AT_START as readonly string[]).includes(name)) return { started: true, running: "never" };
  if (!told.includes(name)) return null;
  if (AT_OPENING.has(name)) return { started: true, running: "never" };
  return { started: true, running: OPEN_TO_ALL.has(name) ? "always" : "trusted" };
}

/** Flags for a `nix-daemon` that is started here. */
export function daemonFlags({ userSettings, foreignSettings }: UserSettings): string[] {
  const told = [
    ...[...FETCHING, ...BUILDING, ...AT_START].flatMap((name) => pair(userSettings, name)),
    ...foreignSettings,
  ];
  return told.flatMap(([name, value]) => ["--option", name, value]);
}

/** Overrides for connections that fetch. */
export function fetchingOverrides({ userSettings }: UserSettings): Map<string, string> {
  return new Map(FETCHING.flatMap((name) => pair(userSettings, name)));
}

/** Overrides for connections that build. */
export function buildingOverrides({ userSettings, foreignSettings }: UserSettings): Map<string, string> {
  return new Map([...BUILDING.flatMap((name) => pair(userSettings, name)), ...foreignSettings]);
}

/** The user's settings that a running daemon will not heed: all that are restricted where it does not trust the user, else what comes too late. */
export function unheededSettings({ userSettings }: UserSettings, trusted: boolean | null): string[] {
  return [...FETCHING, ...BUILDING].filter((name) => {
    if (!userSettings.has(name)) return false;
    return AT_OPENING.has(name) || (trusted === false && !OPEN_TO_ALL.has(name));
  });
}

/** What this program's own store has no use for: it is always sandboxed, by ids it finds free, and packs no logs. */
export const UNHEEDED_BY_EMBEDDED: readonly string[] = [
  "sandbox",
  "sandbox-build-dir",
  "build-users-group",
  "compress-build-log",
  "max-substitution-jobs",
  "trusted-substituters",
];

/** The user's settings that this program's own store will not heed. */
export function unheededByEmbedded({ userSettings }: UserSettings): string[] {
  // Values that ask for what is done anyway.
  const usual: Readonly<Record<string, string>> = { sandbox: "true", "build-users-group": "" };
  const isSet = (name: string): boolean => userSettings.has(name) && userSettings.get(name) !== usual[name];
  return UNHEEDED_BY_EMBEDDED.filter(isSet);
}

function pair(settings: ReadonlyMap<string, string>, name: string): [string, string][] {
  const value = settings.get(name);
  return value === undefined ? [] : [[name, value]];
}
