// Which of the user's settings are passed to the Nix of this machine, and how: when it is started, and for each connection.
//
// A daemon started here reads the user's own nix.conf, and gets the rest as flags, which apply to everything it does. A daemon that already runs
// gets overrides (SetOptions), which it accepts from users it trusts, and which come too late for settings it reads when it opens its store.
import type { LoadedConfig } from "../../config/load.ts";

type UserSettings = Pick<LoadedConfig, "userSettings" | "foreignSettings">;

/** Used where paths are fetched. */
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

/** Used where builders run and their outputs are registered. */
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
 * Passed to a daemon only when it is started: a running one silently keeps its own (daemon.cc). Evaluation gets them too. The first process to open a
 * store whose tables lack those of its features upgrades it, while no other may have it open: with this, the daemon is that process.
 */
const AT_START = ["experimental-features"] as const;

/** What a daemon accepts from a user it does not trust (Nix 2.8 to 2.34: daemon.cc, `ClientSettings::apply`). */
const OPEN_TO_ALL: ReadonlySet<string> = new Set(["connect-timeout", "substituters"]);

/** Read when a store is opened, so that an override comes too late. */
const AT_OPENING: ReadonlySet<string> = new Set(["require-sigs"]);

/** Where a setting given here applies in the Nix of this machine. */
export interface LocalReach {
  /** In one that this program starts. */
  readonly started: boolean;
  /** In a daemon that already runs: always, only for users it trusts, or never. */
  readonly running: "always" | "trusted" | "never";
}

/** Null for settings that concern only this program, for any store. */
export function localReach(name: string): LocalReach | null {
  const told: readonly string[] = [...FETCHING, ...BUILDING];
  if ((AT_START as readonly string[]).includes(name)) return { started: true, running: "never" };
  if (!told.includes(name)) return null;
  if (AT_OPENING.has(name)) return { started: true, running: "never" };
  return { started: true, running: OPEN_TO_ALL.has(name) ? "always" : "trusted" };
}

/** Flags for a `nix-daemon` started here. */
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

/** The user's settings that a running daemon ignores: the restricted ones if it does not trust the user, else those that come too late. */
export function unheededSettings({ userSettings }: UserSettings, trusted: boolean | null): string[] {
  return [...FETCHING, ...BUILDING].filter((name) => {
    if (!userSettings.has(name)) return false;
    return AT_OPENING.has(name) || (trusted === false && !OPEN_TO_ALL.has(name));
  });
}

/** Settings that this program's own store ignores: it always uses a sandbox, finds unused ids itself, and does not compress logs. */
export const UNHEEDED_BY_EMBEDDED: readonly string[] = [
  "sandbox",
  "sandbox-build-dir",
  "build-users-group",
  "compress-build-log",
  "max-substitution-jobs",
  "trusted-substituters",
];

/** The user's settings that this program's own store ignores. */
export function unheededByEmbedded({ userSettings }: UserSettings): string[] {
  // Values for what is done anyway.
  const usual: Readonly<Record<string, string>> = { sandbox: "true", "build-users-group": "" };
  const isSet = (name: string): boolean => userSettings.has(name) && userSettings.get(name) !== usual[name];
  return UNHEEDED_BY_EMBEDDED.filter(isSet);
}

function pair(settings: ReadonlyMap<string, string>, name: string): [string, string][] {
  const value = settings.get(name);
  return value === undefined ? [] : [[name, value]];
}
