// The sandbox made by bubblewrap: user, mount, process, network, IPC and UTS namespaces (Nix 2.8 `startBuilder`, `runChild`); pure.
import { dirname } from "node:path";
import { EngineError } from "../../../../base/errors.ts";
import type { ByteString } from "../../../../formats/byte-string.ts";
import { BUILD_DIR } from "../environment.ts";
import { rightsOf } from "./drop-rights.ts";
import { MOUNT_FUNCTIONS } from "./mount-script.ts";
import {
  namedCommand,
  programName,
  SANDBOX_GID,
  SANDBOX_UID,
  type SandboxCommand,
  type SandboxInput,
  type SandboxPlan,
} from "./sandbox-plan.ts";
import { quote, STARTER, starterOf, startScript } from "./sandbox-start.ts";

/** bubblewrap accepts no more arguments than this, however they are passed (bubblewrap.c, MAX_ARGS). */
export const MAX_BWRAP_ARGUMENTS = 9000;

/** The installed bubblewrap. */
export interface Bubblewrap {
  readonly program: string;
  /** Whether it can set argument zero (`--argv0`, since 0.9.0). */
  readonly setsName: boolean;
  /** The filter of system calls, null when there is none for this machine. */
  readonly filter: Uint8Array | null;
}

/** Where host paths are gathered for a bubblewrap that cannot reach them at their own paths, or not so many. */
const GATHERED = "/tmp";
/** Directories of the system that are open to everyone. */
const SYSTEM = /^\/(?:usr|bin|sbin|lib\w*|dev)\//;

/**
 * The command line. Options are passed in a file. If the builder runs as another user than this process, or there are too many inputs
 * for bubblewrap, a first step with this process's rights gathers what is to be mounted, in its own mount namespace.
 * @throws EngineError `EXECUTOR_NEEDS_BUSYBOX` for more variables than bubblewrap accepts, if nothing else can set them
 */
export function bubblewrapCommand(bubblewrap: Bubblewrap, plan: SandboxPlan): SandboxCommand {
  if (plan.uid === null && fitsBubblewrap(plan)) return command(bubblewrap, plan, 3);
  const { lines, seen } = gathered(plan);
  const inner = command(bubblewrap, seen, 4);
  const last = [...rightsOf(plan.uid), inner.program, ...inner.args].map(quote).join(" ");
  const script = Buffer.from(`${[...lines, `exec ${last} 3<&-`].join("\n")}\n`, "latin1");
  const outer = plan.uid === null ? ["--user", "--map-root-user"] : [];
  return {
    ...inner,
    program: "unshare",
    args: [...outer, "--mount", "--propagation", "private", "--", "/bin/sh", "/proc/self/fd/3"],
    inputs: [script, ...inner.inputs],
  };
}

/** Whether the inputs are few enough for bubblewrap. */
export function fitsBubblewrap(plan: SandboxPlan): boolean {
  const variables = plan.starter === null ? plan.variables.size : 0;
  return 80 + 3 * (plan.inputs.length + 2 * plan.mounts.length + variables) + plan.args.length < MAX_BWRAP_ARGUMENTS;
}

/** bubblewrap itself, its options on descriptor `first`, its filter on the next. */
function command(bubblewrap: Bubblewrap, plan: SandboxPlan, first: number): SandboxCommand {
  const options = optionsOf(plan);
  if (bubblewrap.filter !== null) options.push("--seccomp", String(first + 1));
  const { starter } = plan;
  let start: Uint8Array | null = null;
  let inside: readonly string[] = [plan.builder, ...plan.args];
  if (starter !== null) {
    start = startScript(plan, false);
    inside = [starterOf(plan)];
  } else {
    if (3 * plan.variables.size + plan.args.length > MAX_BWRAP_ARGUMENTS - 1000) throw needsBusybox(plan);
    for (const [name, value] of plan.variables) options.push("--setenv", name, value);
    if (bubblewrap.setsName) options.push("--argv0", bytesOf(programName(plan.builder)));
    else inside = namedCommand(plan);
  }
  return {
    program: bubblewrap.program,
    args: ["--args", String(first), "--", ...inside],
    inputs: [
      Buffer.from(options.map((option) => `${option}\0`).join(""), "latin1"),
      ...(bubblewrap.filter === null ? [] : [bubblewrap.filter]),
    ],
    start,
    staysOutside: true,
    opensLog: false,
  };
}

function optionsOf(plan: SandboxPlan): string[] {
  const starter = plan.starter === null || plan.busyboxShell ? [] : [{ source: plan.starter, target: STARTER }];
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
    // Builders die with the process that started them.
    "--die-with-parent",
    // The builder is the first process, so all others die with it.
    "--as-pid-1",
    "--new-session",
    "--clearenv",
    // Made here, because directories that bubblewrap makes implicitly are accessible only to the builder.
    ...parentsOf(["/nix/store", ...[...plan.mounts, ...starter].map(({ target }) => target)]).flatMap((dir) => [
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
  for (const { source, target } of starter) options.push("--ro-bind", bytesOf(source), target);
  for (const { path, real } of plan.inputs) options.push("--ro-bind", bytesOf(real), path);
  return options;
}

/** The script that gathers what the plan mounts, and the plan as seen afterwards: below the parent of the build's directory, all of it one mount. */
function gathered(plan: SandboxPlan): { readonly lines: string[]; readonly seen: SandboxPlan } {
  const { dir } = plan.scratch;
  const room = dirname(dir);
  const lines = ["set -e", ...MOUNT_FUNCTIONS];
  const moved = (path: string): string => GATHERED + path.slice(room.length);
  const place = (source: string, name: string): string => {
    if (source.startsWith(`${room}/`)) return moved(source);
    if (SYSTEM.test(source)) return source;
    lines.push(`bind ${quote(source)} ${quote(`${dir}/${name}`)}`);
    return moved(`${dir}/${name}`);
  };
  const { scratch } = plan;
  const seenScratch = { ...scratch, store: moved(scratch.store), build: moved(scratch.build), tmp: moved(scratch.tmp) };
  const etc = place(plan.etc, "etc");
  const mounts = plan.mounts.map((mount, index) => ({ ...mount, source: place(mount.source, `mount-${index}`) }));
  const starter = plan.starter === null ? null : place(plan.starter, "starter");
  // There is nearly always only one, the store, for which a directory already exists.
  const placeInputs = (directory: string, index: number): string => {
    if (index > 0) return place(directory, `inputs-${index}`);
    lines.push(`mount --bind ${quote(directory)} ${quote(scratch.root)}`);
    return moved(scratch.root);
  };
  const inputs: SandboxInput[] = [];
  if (fitsBubblewrap(plan)) {
    // Mount their common directory once instead of each input.
    const directories = new Map<string, string>();
    for (const { path, real } of plan.inputs) {
      const directory = dirname(real);
      const known = directories.get(directory) ?? placeInputs(directory, directories.size);
      directories.set(directory, known);
      inputs.push({ path, real: known + real.slice(directory.length) });
    }
  } else {
    for (const { path, real } of plan.inputs) {
      lines.push(`bindro ${quote(real)} ${quote(scratch.store + path.slice(path.lastIndexOf("/")))}`);
    }
  }
  lines.push(`mount --rbind ${quote(room)} ${GATHERED}`);
  return { lines, seen: { ...plan, scratch: seenScratch, etc, mounts, starter, inputs } };
}

/** The directories above some paths, those nearer to the root first. */
function parentsOf(paths: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    for (let slash = path.indexOf("/", 1); slash > 0; slash = path.indexOf("/", slash + 1))
      parents.add(path.slice(0, slash));
  }
  // Mounts at these places bring their own directories.
  return [...parents]
    .filter((dir) => !/^\/(?:etc|dev|proc|tmp|build)(?:\/|$)|^\/nix\/store/.test(dir))
    .map(bytesOf)
    .sort();
}

function needsBusybox(plan: SandboxPlan): EngineError {
  return new EngineError(
    "build",
    "EXECUTOR_NEEDS_BUSYBOX",
    `bubblewrap cannot pass ${plan.variables.size} variables and ${plan.args.length} arguments to a builder`,
    { hint: "Install a static busybox (Debian: busybox-static), which sets them inside of the sandbox." },
  );
}

function bytesOf(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1") as ByteString;
}
