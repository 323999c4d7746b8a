// The last resort, for root where namespaces are not allowed (containers): a private root directory and nothing more.
// Not a sandbox: the builder sees the host's network and processes. The command is pure; filling the directory is not.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
} from "node:fs";
import type { ByteString } from "../../../../formats/byte-string.ts";
import { hasCode, pathBytes, pathString, readEntries, Turns } from "../../files/file-tree.ts";
import { searchPath } from "../../files/flock.ts";
import { BUILD_DIR } from "../environment.ts";
import { WITHOUT_NEW_RIGHTS } from "./drop-rights.ts";
import { refuseLoaderVariables } from "./loader-variables.ts";
import { namedCommand, type SandboxCommand, type SandboxPlan } from "./sandbox-plan.ts";
import { quote, quoteBytes, STARTER, starterOf, startScript } from "./sandbox-start.ts";

const DEVICES = ["full", "null", "random", "tty", "urandom", "zero"];

/**
 * The command line: with `nsenter`, which can enter a root directory without any namespace, else with `chroot`, which begins at its top. Throws
 * `EXECUTOR_NEEDS_BUSYBOX`.
 */
export function chrootCommand(plan: SandboxPlan, nsenter: boolean): SandboxCommand {
  const { root } = plan.scratch;
  const { starter, uid } = plan;
  if (uid === null) throw new Error("a private root directory needs a user for the builder");
  const enter = nsenter
    ? ["nsenter", `--root=${root}`, `--wd=${root}${BUILD_DIR}`, `--setgid=${uid}`, `--setuid=${uid}`, "--"]
    : ["chroot", `--userspec=${uid}:${uid}`, "--groups=", root];
  const common = { staysOutside: false, opensLog: false };
  if (starter !== null) {
    const [program = "", ...args] = [...WITHOUT_NEW_RIGHTS, ...enter, starterOf(plan)];
    return { program, args, inputs: [], start: startScript(plan, !nsenter), ...common };
  }
  refuseLoaderVariables(plan.variables);
  const variables = [...plan.variables].map(([name, value]) => quoteBytes(`${name}=${value}` as ByteString)).join(" ");
  const [entering = "", ...rest] = [...enter, ...(nsenter ? namedCommand(plan) : fromTheTop(plan))];
  const script = [
    "exec 3<&-",
    `program=$(command -v ${entering})`,
    `exec ${WITHOUT_NEW_RIGHTS.join(" ")} env -i ${variables} "$program" ${rest.map(quote).join(" ")}`,
  ].join("\n");
  const inputs = [Buffer.from(`${script}\n`, "latin1")];
  return { program: "/bin/sh", args: ["/proc/self/fd/3"], inputs, start: null, ...common };
}

/** Starts the builder in the build directory through busybox's shell; any other shell would add variables, so it is not used. */
function fromTheTop(plan: SandboxPlan): readonly string[] {
  const builder = namedCommand({ ...plan, busyboxShell: false });
  if (!plan.busyboxShell) return builder;
  return ["/bin/sh", "-c", `cd ${BUILD_DIR}; unset SHLVL OLDPWD; exec "$@"`, "sh", ...builder];
}

/**
 * Fills the private root: inputs and mounted directories as hard links, mounted files as copies, devices if root may make them, and the log as
 * `/dev/stdout` and `/dev/stderr`, since there is no `/proc` that has them.
 */
export async function fillChroot(plan: SandboxPlan): Promise<void> {
  const { root } = plan.scratch;
  const turns = new Turns();
  for (const name of readdirSync(plan.etc)) cpSync(`${plan.etc}/${name}`, `${root}/etc/${name}`, { recursive: true });
  for (const { path, real } of plan.inputs) await linkTree(pathString(real), pathString(`${root}${path}`), turns);
  const { starter } = plan;
  const own = starter === null || plan.busyboxShell ? [] : [{ source: starter, target: STARTER }];
  for (const { source, target } of [...plan.mounts, ...own]) {
    makeParents(root, target);
    const real = realpathSync(source);
    if (lstatSync(real).isDirectory()) await linkTree(pathString(real), pathString(`${root}${target}`), turns);
    else copyFileSync(real, `${root}${target}`);
  }
  for (const name of ["stdout", "stderr"]) linkSync(plan.logPipe, `${root}/dev/${name}`);
  // A failure leaves them out: most builders need only null.
  spawnSync("cp", ["-a", ...DEVICES.map((name) => `/dev/${name}`), `${root}/dev/`], {
    stdio: "ignore",
    env: { PATH: searchPath() },
  });
}

/** Kills every process with this root directory, which identifies the builder's processes in any process group. */
export function killInside(root: string): void {
  // Each round may find processes that the previous one's have started meanwhile.
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

/** Makes the directories above a path inside, open to the builder regardless of this process's umask. */
function makeParents(root: string, target: string): void {
  for (let slash = target.indexOf("/", 1); slash > 0; slash = target.indexOf("/", slash + 1)) {
    const directory = `${root}${target.slice(0, slash)}`;
    if (existsSync(directory)) continue;
    mkdirSync(directory);
    chmodSync(directory, 0o755);
  }
}

/** Copies a tree as hard links; copies what cannot be linked. */
async function linkTree(from: ByteString, to: ByteString, turns: Turns): Promise<void> {
  const source = pathBytes(from);
  const target = pathBytes(to);
  const stats = lstatSync(source);
  if (turns.due()) await turns.pause();
  if (stats.isDirectory()) {
    mkdirSync(target, { recursive: true });
    // The builder may look into it, regardless of this process's umask.
    chmodSync(target, 0o755);
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
