// The settings: one table of name, kind, default and meaning; everything else about a setting follows from its row.
import type { ValueKind, ValueOf } from "./value-kinds.ts";
import { bool, bytes, count, jobs, list, nullable, oneOf, optionalPath, path, set, text } from "./value-kinds.ts";

/** What defaults depend on: the machine, the user and the environment, gathered by `load.ts`. */
export interface Surroundings {
  /** The local system type, such as `x86_64-linux`. */
  readonly system: string;
  readonly extraPlatforms: readonly string[];
  readonly systemFeatures: readonly string[];
  readonly isRoot: boolean;
  /** `NIX_REMOTE`, else `auto`. */
  readonly store: string;
  /** From `NIX_REMOTE_SYSTEMS`, else `@CONFDIR/machines`. */
  readonly builders: string;
  /** `NIX_CONF_DIR`, else `/etc/nix`. */
  readonly confDir: string;
  /** `NIX_STATE_DIR`, else `/nix/var/nix`. */
  readonly stateDir: string;
  /** `NIX_LOG_DIR`, else `/nix/var/log/nix`. */
  readonly logDir: string;
  /** `NIX_DAEMON_SOCKET_PATH`, else the socket below the state directory. */
  readonly daemonSocket: string;
  /** `XDG_DATA_HOME`, else `~/.local/share`. */
  readonly dataHome: string;
  /** `XDG_STATE_HOME`, else `~/.local/state`. */
  readonly stateHome: string;
}

/** How a setting reaches the machines: not at all, as a field of the protocol's options, or by name in the worker protocol's overrides. */
export type Forwarding = "no" | "field" | "override";

/** One row of the table. */
export interface SettingRow<T> {
  readonly kind: ValueKind<T>;
  readonly defaultValue: (surroundings: Surroundings) => T;
  /** One or two sentences for the documentation and `--help`. */
  readonly doc: string;
  /** Older names with the same meaning. */
  readonly aliases: readonly string[];
  /** `nix`: a setting of Nix, same name and meaning. `own`: known to this program only. */
  readonly origin: "nix" | "own";
  readonly toBuilders: Forwarding;
}

interface RowOptions {
  readonly aliases?: readonly string[];
  readonly toBuilders?: Forwarding;
}

function row<T>(
  kind: ValueKind<T>,
  byDefault: NoInfer<T> | ((surroundings: Surroundings) => NoInfer<T>),
  doc: string,
  options: RowOptions = {},
): SettingRow<T> {
  const defaultValue = typeof byDefault === "function" ? (byDefault as (s: Surroundings) => T) : () => byDefault;
  return {
    kind,
    defaultValue,
    doc,
    aliases: options.aliases ?? [],
    origin: "nix",
    toBuilders: options.toBuilders ?? "no",
  };
}

const own: typeof row = (...args) => ({ ...row(...args), origin: "own" });

const NO_WORDS: readonly string[] = [];
const EMPTY_SET: ReadonlySet<string> = new Set();

/** The table. Names, aliases and defaults are those of Nix (manual, nix.conf; 2.8 to 2.35) unless a row is our own. */
export const SETTINGS = {
  // where builds go
  builders: row(
    text,
    (s) => s.builders,
    "The machines to build on: a list in the machines grammar, or '@FILE' to read one from a file.",
  ),
  "builders-use-substitutes": row(
    bool,
    false,
    "Let the machines fetch inputs from their own substituters instead of sending them everything.",
  ),
  "max-jobs": row(jobs, 1, "Builds at once on this machine; 0 builds only on other machines, 'auto' is one per core.", {
    aliases: ["build-max-jobs"],
  }),
  cores: row(
    nullable(count),
    null,
    "NIX_BUILD_CORES of each build; 0 means all cores of the machine that builds. Unset leaves each machine its own.",
    { aliases: ["build-cores"], toBuilders: "field" },
  ),
  system: row(text, (s) => s.system, "The system type this machine builds for."),
  "extra-platforms": row(set, (s) => new Set(s.extraPlatforms), "Further system types this machine can build for."),
  "system-features": row(
    set,
    (s) => new Set(s.systemFeatures),
    "Features this machine offers to derivations with requiredSystemFeatures.",
  ),
  "always-allow-substitutes": row(
    bool,
    false,
    "Substitute also what a derivation marks with allowSubstitutes = false.",
  ),
  "build-poll-interval": row(
    count,
    1,
    "Seconds between tries for a lock that another process holds, here and on the machines (Nix: 5).",
  ),
  policy: own(
    oneOf("own", "nix"),
    "own",
    "How machines and the next build are chosen: as Nix does (nix), or refined by critical path, history and what a machine already has (own).",
  ),
  "max-attempts": own(
    count,
    5,
    "Tries of one build when the machinery (connection, disk) failed; the builder's own failure is never retried.",
  ),
  "retry-delay": own(
    count,
    5,
    "Seconds a machine that failed is left alone; doubles, with jitter, with every failure in a row. A build that failed there waits a fifth of it when no other machine can take it.",
  ),
  "retry-delay-max": own(count, 300, "Most seconds between two tries of a machine."),
  "builders-poll-interval": own(
    count,
    2,
    "Seconds between two readings of a machine's load and cores in use; 0 never reads them.",
  ),

  // substitution
  substitute: row(bool, true, "Whether to use substituters.", { aliases: ["build-use-substitutes"] }),
  substituters: row(list, ["https://cache.nixos.org/"], "Stores to fetch from, tried by priority.", {
    aliases: ["binary-caches"],
  }),
  "trusted-substituters": row(list, NO_WORDS, "Further substituters that users who are not trusted may ask for.", {
    aliases: ["trusted-binary-caches"],
  }),
  "trusted-public-keys": row(
    list,
    ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="],
    "Keys whose signatures are accepted, NAME:BASE64.",
    { aliases: ["binary-cache-public-keys"] },
  ),
  "require-sigs": row(
    bool,
    true,
    "Whether paths from elsewhere need a signature by a trusted key unless content-addressed.",
  ),
  "secret-key-files": row(list, NO_WORDS, "Files with secret keys that sign what is built here."),
  fallback: row(bool, false, "Build from source when a substituter fails.", { aliases: ["build-fallback"] }),
  "max-substitution-jobs": row(count, 16, "Substitutions at once.", { aliases: ["substitution-max-jobs"] }),
  "narinfo-cache-negative-ttl": row(count, 3600, "Seconds for which 'not in this cache' is remembered."),
  "narinfo-cache-positive-ttl": row(count, 2592000, "Seconds for which a found narinfo is remembered."),
  "http-connections": row(count, 25, "Connections at once to binary caches; 0 is no limit.", {
    aliases: ["binary-caches-parallel-connections"],
  }),
  "download-attempts": row(count, 5, "Tries of one download."),
  "connect-timeout": row(count, 15, "Seconds to wait for a connection; 0 waits as long as the system does."),
  "stalled-download-timeout": row(count, 300, "Seconds without a byte after which a download is given up."),
  "netrc-file": row(path, (s) => `${s.confDir}/netrc`, "User names and passwords for HTTP."),

  // a build
  "keep-going": row(bool, false, "Go on with what does not depend on a failed build.", { toBuilders: "field" }),
  "keep-failed": row(bool, false, "Keep the directory of a failed build.", { toBuilders: "field" }),
  timeout: row(count, 0, "Seconds a build may take; 0 is no limit.", {
    aliases: ["build-timeout"],
    toBuilders: "override",
  }),
  "max-silent-time": row(count, 0, "Seconds a build may be silent; 0 is no limit.", {
    aliases: ["build-max-silent-time"],
    toBuilders: "field",
  }),
  "max-build-log-size": row(bytes, 0n, "Bytes a build may log; 0 is no limit.", {
    aliases: ["build-max-log-size"],
    toBuilders: "override",
  }),
  sandbox: row(oneOf("true", "relaxed", "false"), "true", "Whether the embedded store builds in a sandbox.", {
    aliases: ["build-use-chroot", "build-use-sandbox"],
  }),
  "sandbox-paths": row(
    set,
    EMPTY_SET,
    "Paths of this machine that sandboxed builds may see, PATH or INSIDE=OUTSIDE, '?' at the end when it may be missing.",
    { aliases: ["build-chroot-dirs", "build-sandbox-paths"] },
  ),
  "sandbox-fallback": row(bool, true, "Build without a sandbox where this machine allows none."),
  "sandbox-max-processes": own(
    count,
    0,
    "Processes and threads a build may have at once in this program's own store, so that a fork bomb ends itself; 0 is no limit.",
  ),
  "sandbox-build-dir": row(path, "/build", "The build directory as sandboxed builds see it."),
  "build-users-group": row(
    text,
    (s) => (s.isRoot ? "nixbld" : ""),
    "Group whose members run builders, when this program is root.",
  ),

  // determinism
  repeat: row(count, 0, "Further rounds of every build, to verify that it is deterministic.", {
    aliases: ["build-repeat"],
  }),
  "enforce-determinism": row(bool, true, "Whether a round that differs makes the build fail."),
  "rounds-on": own(
    oneOf("any", "same", "other"),
    "any",
    "Whether the next round may (any), must (same) or must not (other) use the same machine.",
  ),
  "run-diff-hook": row(bool, false, "Whether to run the diff hook when two results differ."),
  "diff-hook": row(
    optionalPath,
    null,
    "Program run with the two outputs, the derivation and the temporary directory; its result decides nothing.",
  ),

  // after a build
  "post-build-hook": row(optionalPath, null, "Program run after each build with DRV_PATH and OUT_PATHS."),
  "post-build-hook-mode": own(
    oneOf("blocking", "queued"),
    "blocking",
    "blocking: builds wait for the hook and its failure stops new ones, as in Nix. queued: hooks run beside the builds, with retries.",
  ),
  "post-build-hook-timeout": own(count, 0, "Seconds a hook may take; 0 is no limit."),
  "post-build-hook-retries": own(count, 3, "Further tries of a failed hook in queued mode, and of a failed upload."),
  "post-build-hook-workers": own(count, 4, "Queued hooks and uploads at once."),
  "post-build-hook-drain-timeout": own(
    count,
    300,
    "Seconds to wait at the end of a run for queued hooks and uploads; what is left is taken up by the next run. 0 waits as long as it takes.",
  ),
  "compress-build-log": row(bool, true, "Compress the logs that are kept.", { aliases: ["build-compress-log"] }),
  "keep-build-log": row(bool, true, "Keep build logs where 'nix log' finds them.", { aliases: ["build-keep-log"] }),
  "log-lines": row(count, 10, "Last lines of a failed build's log that are shown with the failure."),
  "keep-derivations": row(bool, true, "The garbage collector keeps the derivations of live outputs.", {
    aliases: ["gc-keep-derivations"],
  }),
  "keep-outputs": row(bool, false, "The garbage collector keeps the outputs of live derivations.", {
    aliases: ["gc-keep-outputs"],
  }),
  "print-build-logs": own(
    nullable(bool),
    null,
    "Print builders' output as it comes; unset leaves it to the way of showing.",
  ),

  // the store
  store: row(text, (s) => s.store, "The store results end up in: 'auto', 'daemon', a directory, or a URI."),
  "state-dir": own(path, (s) => s.stateDir, "State directory of the system's Nix (NIX_STATE_DIR)."),
  "log-dir": own(path, (s) => s.logDir, "Where the system's Nix keeps build logs (NIX_LOG_DIR)."),
  "daemon-socket": own(path, (s) => s.daemonSocket, "Socket of the Nix daemon (NIX_DAEMON_SOCKET_PATH)."),
  "embedded-root": own(path, (s) => `${s.dataHome}/tsbuild-top/root`, "Root of the embedded store."),
  "journal-dir": own(
    path,
    (s) => `${s.stateHome}/tsbuild-top`,
    "Where the journals of runs, the history of builds, their logs and the queue of hooks are kept.",
  ),
  "allowed-users": row(list, ["*"], "Users and @groups that may connect to 'serve'."),
  "trusted-users": row(list, ["root"], "Users and @groups that may do everything, such as adding unsigned paths."),
  "experimental-features": row(set, EMPTY_SET, "Passed on to the Nix that evaluates."),
} as const;

type Table = typeof SETTINGS;

type CamelCase<Name extends string> = Name extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;

/** A setting's name, as written in files and on the command line. */
export type SettingName = keyof Table;

/** The values, by name in camel case: `settings.maxJobs`, `settings.buildersUseSubstitutes`. Times are seconds, sizes bytes. */
export type Settings = {
  readonly [Name in SettingName as CamelCase<Name>]: ValueOf<Table[Name]["kind"]>;
};

/** `max-jobs` → `maxJobs`. */
export function settingKey(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Rows by name, for code that iterates over all of them. */
export const SETTING_ROWS: ReadonlyMap<string, SettingRow<unknown>> = new Map(
  Object.entries(SETTINGS) as [string, SettingRow<unknown>][],
);

const CANONICAL_NAMES: ReadonlyMap<string, string> = new Map(
  [...SETTING_ROWS].flatMap(([name, { aliases }]) => [name, ...aliases].map((known) => [known, name] as const)),
);

/** What a name in a file or on the command line means: which setting, and whether the value is appended (`extra-NAME`). */
export function findSetting(name: string): { readonly name: string; readonly append: boolean } | null {
  const exact = CANONICAL_NAMES.get(name);
  if (exact !== undefined) return { name: exact, append: false };
  const appended = name.startsWith("extra-") ? CANONICAL_NAMES.get(name.slice("extra-".length)) : undefined;
  if (appended === undefined || SETTING_ROWS.get(appended)?.kind.append === null) return null;
  return { name: appended, append: true };
}
