// The last resort, for root where no namespaces are allowed (containers): a private root directory, shared with nothing but the kernel.
// Not a sandbox: the builder sees the host's network and processes. The command is pure; filling the directory is not.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import type { ByteString } from "../../../formats/byte-string.ts";
import { hasCode, pathBytes, pathString, readEntries, Turns } from "../file-tree.ts";
import { searchPath } from "../flock.ts";
import { BUILD_DIR } from "./environment.ts";
import { namedCommand, SANDBOX_GID, SANDBOX_UID, type SandboxCommand, type SandboxPlan } from "./sandbox-plan.ts";
import { refuseLoaderVariables } from "./sandbox-unshare.ts";

const DEVICES = ["full", "null", "random", "tty", "urandom", "zero"];

/**
 * The command line: by `nsenter`, which enters a root directory without any namespace, else by `chroot`, which begins at its top. Throws
 * `EXECUTOR_NEEDS_BWRAP`.
 */
export function chrootCommand(plan: SandboxPlan, nsenter: boolean): SandboxCommand {
  refuseLoaderVariables(plan);
  const { root } = plan.scratch;
  const variables = [...plan.variables].map(([name, value]) => `'${`${name}=${value}`.replaceAll("'", "'\\''")}'`);
  const flags = nsenter
    ? [`--root=${root}`, `--wd=${root}${BUILD_DIR}`, `--setgid=${SANDBOX_GID}`, `--setuid=${SANDBOX_UID}`, "--"]
    : [`--userspec=${SANDBOX_UID}:${SANDBOX_GID}`, "--groups=", root];
  const script = [
    "exec 3<&-",
    `program=$(command -v ${nsenter ? "nsenter" : "chroot"})`,
    `exec env -i ${variables.join(" ")} "$program" ${[...flags, ...(nsenter ? namedCommand(plan) : fromTheTop(plan))].map(quoted).join(" ")}`,
  ].join("\n");
  return { program: "/bin/sh", args: ["/proc/self/fd/3"], inputs: [Buffer.from(`${script}\n`, "latin1")] };
}

/** The builder started in the build directory by a shell, where that leaves no trace; another shell than busybox's adds variables. */
function fromTheTop(plan: SandboxPlan): readonly string[] {
  const builder = namedCommand({ ...plan, busyboxShell: false });
  if (!plan.busyboxShell) return builder;
  return ["/bin/sh", "-c", `cd ${BUILD_DIR}; unset SHLVL OLDPWD; exec "$@"`, "sh", ...builder];
}

function quoted(text: string): ByteString {
  return `'${Buffer.from(text, "utf8").toString("latin1").replaceAll("'", "'\\''")}'` as ByteString;
}

/**
 * Fills the private root: inputs and mounted directories as hard links, mounted files as copies, devices where root may make them, and the log as what `/dev/stdout` and
 * `/dev/stderr` name, since there is no `/proc` to find them by.
 */
export async function fillChroot(plan: SandboxPlan, logPipe: string): Promise<void> {
  const { root } = plan.scratch;
  const turns = new Turns();
  for (const name of readdirSync(plan.etc)) cpSync(`${plan.etc}/${name}`, `${root}/etc/${name}`, { recursive: true });
  for (const { path, real } of plan.inputs) await linkTree(pathString(real), pathString(`${root}${path}`), turns);
  for (const { source, target } of plan.mounts) {
    mkdirSync(dirname(`${root}${target}`), { recursive: true });
    const real = realpathSync(source);
    if (lstatSync(real).isDirectory()) await linkTree(pathString(real), pathString(`${root}${target}`), turns);
    else copyFileSync(real, `${root}${target}`);
  }
  for (const name of ["stdout", "stderr"]) linkSync(logPipe, `${root}/dev/${name}`);
  // A failure leaves them out: most builders need none but null.
  spawnSync("cp", ["-a", ...DEVICES.map((name) => `/dev/${name}`), `${root}/dev/`], {
    stdio: "ignore",
    env: { PATH: searchPath() },
  });
}

/** Kills every process whose root directory is this one, which is how the builder's are known whatever group they are in. */
export function killInside(root: string): void {
  // Each round may find what the one before has started meanwhile.
  for (let round = 0; round < 10; round++) {
    let found = false;
    for (const pid of readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      try {
        if (readlinkSync(`/proc/${pid}/root`) !== root) continue;
        process.kill(Number(pid), "SIGKILL");
        found = true;
      } catch (error) {
        if (!hasCode(error, "ENOENT", "EACCES", "ESRCH", "EPERM")) throw error;
      }
    }
    if (!found) return;
  }
}

/** Copies a tree as hard links; what cannot be linked is copied. */
async function linkTree(from: ByteString, to: ByteString, turns: Turns): Promise<void> {
  const source = pathBytes(from);
  const target = pathBytes(to);
  const stats = lstatSync(source);
  if (turns.due()) await turns.pause();
  if (stats.isDirectory()) {
    mkdirSync(target, { recursive: true });
    for (const { name } of readEntries(from)) {
      await linkTree(`${from}/${name}` as ByteString, `${to}/${name}` as ByteString, turns);
    }
  } else if (stats.isSymbolicLink()) {
    symlinkSync(readlinkSync(source, { encoding: "buffer" }), target);
  } else {
    try {
      linkSync(source, target);
    } catch (error) {
      if (!hasCode(error, "EMLINK", "EPERM", "EXDEV")) throw error;
      if (stats.isFile()) copyFileSync(source, target);
    }
  }
}
