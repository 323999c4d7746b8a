// What a command line asks for: one variant for each command, carrying its own flags and nothing else's.
import type { EvaluationOptions, GarbageTask, HookChoice, InstallableWords } from "../src/engine/index.ts";
import type { UiFlag } from "../src/ui/index.ts";

/** Nix's `--log-format`, for those used to it; `--ui` is ours and wins. */
export const LOG_FORMATS = [
  "raw",
  "raw-with-logs",
  "internal-json",
  "bar",
  "bar-with-logs",
  "multiline",
  "multiline-with-logs",
] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Flags of every command. */
export interface CommonFlags {
  /**
   * Settings from the command line by the name given, in the order that counts: `--option NAME VALUE`, `--NAME VALUE` and the short forms (`-j4` is
   * `max-jobs`). To be merged over everything else (`loadConfig`).
   */
  readonly settingsOverrides: ReadonlyMap<string, string>;
  /** 0; `-v` counts up, `--quiet` down. */
  readonly verbosity: number;
  readonly color: "auto" | "never";
}

/** Flags of commands that show a run. */
export interface ShowFlags {
  readonly ui: UiFlag;
  readonly logFormat: LogFormat | null;
  /** Results as JSON on standard output. */
  readonly json: boolean;
  /** File the run is recorded to, for `replay`. */
  readonly record: string | null;
  /** File a report of the run is written to. */
  readonly report: string | null;
  /** Say of each build why it went where it went. */
  readonly explain: boolean;
}

/** How evaluation is told to go about it; the store is a setting. */
export type EvaluationFlags = Omit<EvaluationOptions, "store" | "settingsOverrides">;

/** Flags of commands that build. */
export interface BuildFlags {
  readonly dryRun: boolean;
  /** `--check`: rebuild and compare what is valid; `build`: and build first what is not (`--build-missing`). */
  readonly check: "no" | "valid" | "build";
  /** Show differences with diffoscope. */
  readonly diffoscope: boolean;
  /** Store the results are copied to. */
  readonly uploadTo: string | null;
  /** `--add-root`: the link that keeps the results from the garbage collector. */
  readonly addRoot: string | null;
}

export interface BuildInvocation extends CommonFlags, ShowFlags, BuildFlags {
  /** `build`, `check` (which is `build --check`), or no command at all. */
  readonly type: "build";
  readonly installables: InstallableWords;
  readonly evaluation: EvaluationFlags;
  /** Base name of the result links; null makes none. */
  readonly outLink: string | null;
  /** `--profile`: gets a generation of the one result. */
  readonly profile: string | null;
}

export interface RealiseInvocation extends CommonFlags, ShowFlags, BuildFlags {
  readonly type: "realise";
  /** Store paths and derivations, as written. */
  readonly paths: readonly string[];
}

export interface BuildersInvocation extends CommonFlags {
  readonly type: "builders";
  readonly json: boolean;
}

export interface HooksInvocation extends CommonFlags {
  readonly type: "hooks";
  /** With `retry`: an address with the password that the queue does not keep. */
  readonly uploadTo: string | null;
  readonly action: { readonly type: "list" } | { readonly type: "retry" | "drop"; readonly choice: HookChoice };
  readonly json: boolean;
}

export interface PingStoreInvocation extends CommonFlags {
  readonly type: "ping-store";
  readonly json: boolean;
}

export interface CopyInvocation extends CommonFlags, ShowFlags {
  readonly type: "copy";
  /** Null: the store of the settings. At least one of the two is given. */
  readonly from: string | null;
  readonly to: string | null;
  readonly installables: InstallableWords;
  readonly evaluation: EvaluationFlags;
  readonly all: boolean;
  /** Whether the closure goes along. */
  readonly recursive: boolean;
  readonly checkSignatures: boolean;
  readonly substituteOnDestination: boolean;
}

export interface DeleteInvocation extends CommonFlags {
  readonly type: "delete";
  readonly paths: readonly string[];
  readonly ignoreLiveness: boolean;
}

export interface GarbageInvocation extends CommonFlags {
  readonly type: "gc";
  readonly task: GarbageTask;
}

export interface LogInvocation extends CommonFlags {
  readonly type: "log";
  readonly installables: InstallableWords;
  readonly evaluation: EvaluationFlags;
}

export interface SignPathsInvocation extends CommonFlags {
  readonly type: "sign-paths";
  readonly keyFile: string;
  readonly paths: readonly string[];
  readonly all: boolean;
  readonly recursive: boolean;
}

export interface GenerateKeyInvocation extends CommonFlags {
  readonly type: "generate-binary-cache-key";
  readonly name: string;
  readonly secretKeyFile: string;
  readonly publicKeyFile: string;
}

export interface VerifyInvocation extends CommonFlags {
  readonly type: "verify";
  /** Empty: every path. */
  readonly paths: readonly string[];
  readonly recursive: boolean;
  readonly checkContents: boolean;
  readonly checkTrust: boolean;
  /** Signatures each path needs, null: as `require-sigs` says. */
  readonly sigsNeeded: number | null;
}

export interface ServeInvocation extends CommonFlags {
  readonly type: "serve";
  /** `worker`: `--stdio`, like `nix-daemon --stdio`. `serve`: `--serve [--write]`, like `nix-store --serve`. */
  readonly protocol: { readonly type: "worker" } | { readonly type: "serve"; readonly write: boolean };
}

export interface ReplayInvocation extends CommonFlags, ShowFlags {
  readonly type: "replay";
  readonly file: string;
  /** Times the recorded speed; Infinity does not wait at all. */
  readonly speed: number;
}

export interface WatchInvocation extends CommonFlags, ShowFlags {
  readonly type: "watch";
  readonly source:
    | { readonly type: "command"; readonly argv: readonly [string, ...string[]] }
    | { readonly type: "file"; readonly path: string }
    | { readonly type: "stdin" };
}

export interface DemoInvocation extends CommonFlags, ShowFlags {
  readonly type: "demo";
}

/** Text to print on standard output, and nothing else to do. */
export interface HelpInvocation {
  readonly type: "help";
  readonly text: string;
}

export type Invocation =
  | BuildInvocation
  | RealiseInvocation
  | BuildersInvocation
  | HooksInvocation
  | PingStoreInvocation
  | CopyInvocation
  | DeleteInvocation
  | GarbageInvocation
  | LogInvocation
  | SignPathsInvocation
  | GenerateKeyInvocation
  | VerifyInvocation
  | ServeInvocation
  | ReplayInvocation
  | WatchInvocation
  | DemoInvocation
  | HelpInvocation;

/** Commands by name, for the types above. */
export type CommandName = Exclude<Invocation["type"], "help"> | "check";
