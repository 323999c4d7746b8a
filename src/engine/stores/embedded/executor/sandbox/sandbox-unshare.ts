// The sandbox with util-linux alone, when bubblewrap is missing: `unshare` runs a shell script that mounts and ends in a second `unshare`,
// which gives up all rights; pure.
import type { ByteString } from "../../../../formats/byte-string.ts";
import { BUILD_DIR } from "../environment.ts";
import { rightsOf } from "./drop-rights.ts";
import { refuseLoaderVariables } from "./loader-variables.ts";
import { MOUNT_FUNCTIONS } from "./mount-script.ts";
import { namedCommand, SANDBOX_GID, SANDBOX_UID, type SandboxCommand, type SandboxPlan } from "./sandbox-plan.ts";
import { LOG_DESCRIPTOR, quote, quoteBytes, STARTER, starterOf, startScript } from "./sandbox-start.ts";

/** The command line; the shell reads the script on descriptor 3. Throws `EXECUTOR_NEEDS_BUSYBOX`. */
export function unshareCommand(plan: SandboxPlan): SandboxCommand {
  const { starter } = plan;
  if (starter === null) refuseLoaderVariables(plan.variables);
  const enter = [
    ...["unshare", "--user", `--map-user=${SANDBOX_UID}`, `--map-group=${SANDBOX_GID}`],
    ...["--root=.", `--wd=${BUILD_DIR}`, "--"],
  ];
  const variables = [...plan.variables].map(([name, value]) => quoteBytes(`${name}=${value}` as ByteString)).join(" ");
  const rights = rightsOf(plan.uid).map(quote).join(" ");
  const lines = [
    "set -e",
    // The process outside, which waits for the builder, must not keep the log open; the byte signals that it can be closed there.
    ...(starter === null ? [] : [`exec ${LOG_DESCRIPTOR}>${quote(plan.logPipe)}`, `printf . >&${LOG_DESCRIPTOR}`]),
    `mount -t tmpfs -o mode=0755 none ${quote(plan.scratch.root)}`,
    `cd ${quote(plan.scratch.root)}`,
    `mkdir -p nix/store build tmp etc proc dev/shm dev/pts`,
    `mount --bind ${quote(plan.scratch.store)} nix/store`,
    `mount --bind ${quote(plan.scratch.build)} build`,
    `mount --bind ${quote(plan.scratch.tmp)} tmp`,
    `mount --bind ${quote(plan.etc)} etc`,
    "mount -t proc none proc",
    `mount -t tmpfs -o ${quote(`size=${plan.shmSize},mode=1777`)} none dev/shm`,
    "for node in full null random tty urandom zero; do : > dev/$node; mount --bind /dev/$node dev/$node; done",
    "mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 none dev/pts && ln -s pts/ptmx dev/ptmx || true",
    "ln -s /proc/self/fd dev/fd",
    "set -- stdin stdout stderr; for fd in 0 1 2; do ln -s /proc/self/fd/$fd dev/$1; shift; done",
    ...MOUNT_FUNCTIONS,
    ...plan.mounts.map(
      ({ source, target, writable }) => `${writable ? "bind" : "bindro"} ${quote(source)} ${quote(`.${target}`)}`,
    ),
    ...plan.inputs.map(({ path, real }) => `bindro ${quote(real)} ${quote(`.${path}`)}`),
    ...(starter === null || plan.busyboxShell ? [] : [`bindro ${quote(starter)} .${STARTER}`]),
    ...(plan.network ? [] : ["ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || true"]),
    "hostname localhost 2>/dev/null || busybox hostname localhost 2>/dev/null || true",
    "exec 3<&-",
    starter === null
      ? `program=$(command -v unshare); exec ${rights} env -i ${variables} "$program" ` +
        [...enter.slice(1), ...namedCommand(plan)].map(quote).join(" ")
      : `exec ${rights} ${[...enter, starterOf(plan)].map(quote).join(" ")}`,
  ];
  return {
    program: "unshare",
    args: [
      ...(plan.uid === null ? ["--user", "--map-root-user"] : []),
      ...["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"],
      ...["--ipc", "--uts"],
      ...(plan.network ? [] : ["--net"]),
      "--",
      "/bin/sh",
      "/proc/self/fd/3",
    ],
    inputs: [Buffer.from(`${lines.join("\n")}\n`, "latin1")],
    start: starter === null ? null : startScript(plan, false),
    staysOutside: true,
    opensLog: starter !== null,
  };
}
