// The sandbox made by bubblewrap: user, mount, process, network, IPC and UTS namespaces (Nix 2.8 `startBuilder`, `runChild`); pure.
import type { ByteString } from "../../../formats/byte-string.ts";
import { BUILD_DIR } from "./environment.ts";
import {
  namedCommand,
  programName,
  SANDBOX_GID,
  SANDBOX_UID,
  type SandboxCommand,
  type SandboxPlan,
} from "./sandbox-plan.ts";

/** bubblewrap takes no more arguments than this, whichever way they are passed (bubblewrap.c, MAX_ARGS). */
export const MAX_BWRAP_ARGUMENTS = 9000;

/** What is known of the bubblewrap at hand. */
export interface Bubblewrap {
  readonly program: string;
  /** Whether it can set argument zero (`--argv0`, since 0.9.0). */
  readonly setsName: boolean;
  /** The filter of system calls, null where none is known for this machine. */
  readonly filter: Uint8Array | null;
}

/** Whether the plan is small enough for bubblewrap. */
export function fitsBubblewrap(plan: SandboxPlan): boolean {
  return (
    60 + 3 * (plan.inputs.length + plan.mounts.length + plan.variables.size) + plan.args.length < MAX_BWRAP_ARGUMENTS
  );
}

/** The command line. Options travel in a file, so that values of variables may be any bytes and are seen by no other user. */
export function bubblewrapCommand(bubblewrap: Bubblewrap, plan: SandboxPlan): SandboxCommand {
  const options: string[] = [
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    ...(plan.network ? [] : ["--unshare-net"]),
    "--uid",
    String(SANDBOX_UID),
    "--gid",
    String(SANDBOX_GID),
    "--hostname",
    "localhost",
    "--cap-drop",
    "ALL",
    // Whoever starts builds and dies takes them along.
    "--die-with-parent",
    // The builder is the first process, so all others die with it.
    "--as-pid-1",
    "--new-session",
    "--clearenv",
    // Made here, because bubblewrap gives the directories it makes by itself to nobody but the builder.
    ...parentsOf(["/nix/store", ...plan.mounts.map(({ target }) => target)]).flatMap((dir) => [
      "--perms",
      "0755",
      "--dir",
      dir,
    ]),
    ...["--bind", bytesOf(plan.scratch.store), "/nix/store"],
    ...["--bind", bytesOf(plan.scratch.build), BUILD_DIR],
    ...["--bind", bytesOf(plan.scratch.tmp), "/tmp"],
    ...["--ro-bind", bytesOf(plan.etc), "/etc"],
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--perms",
    "1777",
    "--tmpfs",
    "/dev/shm",
    "--chdir",
    BUILD_DIR,
  ];
  for (const { target, source, writable } of plan.mounts) {
    options.push(writable ? "--dev-bind" : "--ro-bind", bytesOf(source), bytesOf(target));
  }
  for (const { path, real } of plan.inputs) options.push("--ro-bind", bytesOf(real), path);
  for (const [name, value] of plan.variables) options.push("--setenv", name, value);
  if (bubblewrap.filter !== null) options.push("--seccomp", "4");
  if (bubblewrap.setsName) options.push("--argv0", bytesOf(programName(plan.builder)));
  return {
    program: bubblewrap.program,
    args: ["--args", "3", "--", ...(bubblewrap.setsName ? [plan.builder, ...plan.args] : namedCommand(plan))],
    inputs: [
      Buffer.from(options.map((option) => `${option}\0`).join(""), "latin1"),
      ...(bubblewrap.filter === null ? [] : [bubblewrap.filter]),
    ],
  };
}

/** The directories above some paths, those nearer to the root first. */
function parentsOf(paths: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    for (let slash = path.indexOf("/", 1); slash > 0; slash = path.indexOf("/", slash + 1))
      parents.add(path.slice(0, slash));
  }
  // What is mounted there brings its own.
  return [...parents]
    .filter((dir) => !/^\/(?:etc|dev|proc|tmp|build)(?:\/|$)|^\/nix\/store/.test(dir))
    .map(bytesOf)
    .sort();
}

function bytesOf(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1") as ByteString;
}
