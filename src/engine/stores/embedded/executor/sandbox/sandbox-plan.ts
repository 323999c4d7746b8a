// What a sandbox must contain, whichever program makes it.
import type { ByteString } from "../../../../formats/byte-string.ts";
import type { StorePath } from "../../../../formats/store-path.ts";

/** Ids of the builder inside (Nix: `sandboxUid`, `sandboxGid`). */
export const SANDBOX_UID = 1000;
export const SANDBOX_GID = 100;

/** An input and its place on disk. */
export interface SandboxInput {
  readonly path: StorePath;
  readonly real: string;
}

/** A host path that is visible inside. */
export interface SandboxMount {
  readonly target: string;
  readonly source: string;
  readonly writable: boolean;
}

/** Host directories for one build only: those that become `/nix/store`, `/build` and `/tmp`, and a place for the root directory. */
export interface Scratch {
  readonly dir: string;
  readonly store: string;
  readonly build: string;
  readonly tmp: string;
  readonly root: string;
}

/** A sandbox, and what runs in it. */
export interface SandboxPlan {
  readonly scratch: Scratch;
  /** Host directory that becomes `/etc`. */
  readonly etc: string;
  /** Files and directories; symlinks among the inputs are created in `store` instead, since they cannot be mounted. */
  readonly inputs: readonly SandboxInput[];
  readonly mounts: readonly SandboxMount[];
  /** Whether the builder shares the host's network. */
  readonly network: boolean;
  readonly variables: ReadonlyMap<ByteString, ByteString>;
  readonly builder: string;
  readonly args: readonly string[];
  /** Whether `/bin/sh` inside is busybox's, which can run a program under another name. */
  readonly busyboxShell: boolean;
  /** A static busybox of this machine, the last step before the builder; null if there is none. */
  readonly starter: string | null;
  /** The user the builder runs as, null for this process's user. */
  readonly uid: number | null;
  /** Descriptors that the process that started this program left open for its children. */
  readonly strayDescriptors: readonly number[];
  /** The named pipe of the log. */
  readonly logPipe: string;
  readonly shmSize: string;
  /** Maximum number of its processes and threads; 0 for no limit. */
  readonly maxProcesses: number;
}

/** A command that runs a sandbox. */
export interface SandboxCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The contents of the program's descriptors 3, 4, … */
  readonly inputs: readonly Uint8Array[];
  /** Standard input: the script of the starter; null without a starter. */
  readonly start: Uint8Array | null;
  /** Whether a process of the sandbox's program stays outside and waits for the builder, its child. */
  readonly staysOutside: boolean;
  /** Whether it opens the log by name, and signals that with one byte; otherwise it receives a descriptor. */
  readonly opensLog: boolean;
}

/** `/etc/passwd` of a sandbox (Nix 2.8 `startBuilder`). */
export const PASSWD = `root:x:0:0:Nix build user:/build:/noshell
nixbld:x:${SANDBOX_UID}:${SANDBOX_GID}:Nix build user:/build:/noshell
nobody:x:65534:65534:Nobody:/:/noshell
`;

/** `/etc/group` of a sandbox. */
export const GROUP = `root:x:0:
nixbld:!:${SANDBOX_GID}:
nogroup:x:65534:
`;

/** `/etc/hosts` of a sandbox without network. */
export const HOSTS = "127.0.0.1 localhost\n::1 localhost\n";

/** `/etc/nsswitch.conf` of a sandbox with network. */
export const NSSWITCH = "hosts: files dns\nservices: files\n";

/** A builder's argument zero: the last part of its path. */
export function programName(builder: string): string {
  return builder.slice(builder.lastIndexOf("/") + 1);
}

/**
 * The command line inside, which gives the builder its own name as argument zero if the sandbox program cannot: busybox's shell can, but
 * it drops variables whose names are not shell names, changes a few others and cannot start a program without a name.
 */
export function namedCommand(plan: SandboxPlan): readonly string[] {
  const plain = [plan.builder, ...plan.args];
  if (!plan.busyboxShell || programName(plan.builder) === "" || !hasPlainNames(plan.variables)) return plain;
  return ["/bin/sh", "-c", 'unset SHLVL; exec -a "$0" "$@"', programName(plan.builder), ...plain];
}

/** Whether busybox's shell passes on all of these variables unchanged. */
export function hasPlainNames(variables: SandboxPlan["variables"]): boolean {
  return [...variables.keys()].every((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !SHELL_OWN.has(name));
}

/** Variables busybox's shell sets or reads itself. */
const SHELL_OWN = new Set([
  "SHLVL",
  "IFS",
  "OPTIND",
  "PS1",
  "PS2",
  "PS4",
  "LINENO",
  "RANDOM",
  "ENV",
  "OLDPWD",
  "FUNCNAME",
]);
