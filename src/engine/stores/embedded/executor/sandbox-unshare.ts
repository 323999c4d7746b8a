// The sandbox made by util-linux alone, where bubblewrap is missing or the inputs are too many for it: a shell script that mounts,
// run by `unshare`, ending in a second `unshare` that gives up all rights; pure.
import { EngineError } from "../../../errors.ts";
import type { ByteString } from "../../../formats/byte-string.ts";
import { BUILD_DIR } from "./environment.ts";
import { namedCommand, SANDBOX_GID, SANDBOX_UID, type SandboxCommand, type SandboxPlan } from "./sandbox-plan.ts";

/** The command line; the script goes to the shell on descriptor 3. Throws `EXECUTOR_NEEDS_BWRAP`. */
export function unshareCommand(plan: SandboxPlan): SandboxCommand {
  refuseLoaderVariables(plan);
  const lines = [
    "set -e",
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
    'bind() { if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : > "$2"; fi; mount --rbind "$1" "$2"; }',
    // Flags the host's mount carries may not be dropped in a user namespace, and are not told by an older kernel.
    'bindro() { bind "$1" "$2"; for flags in "" ,nosuid,nodev ,nosuid,nodev,noatime ,nosuid,nodev,noexec; do ' +
      'mount -o "remount,ro,bind$flags" "$2" 2>/dev/null && return; done; echo "cannot make $2 read-only" >&2; exit 1; }',
    ...plan.mounts.map(
      ({ source, target, writable }) => `${writable ? "bind" : "bindro"} ${quote(source)} ${quote(`.${target}`)}`,
    ),
    ...plan.inputs.map(({ path, real }) => `bindro ${quote(real)} ${quote(`.${path}`)}`),
    ...(plan.network ? [] : ["ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || true"]),
    "hostname localhost 2>/dev/null || busybox hostname localhost 2>/dev/null || true",
    "exec 3<&-",
    `program=$(command -v unshare)`,
    // From here on the variables are the builder's.
    `exec env -i ${[...plan.variables].map(([name, value]) => quoteBytes(`${name}=${value}` as ByteString)).join(" ")} "$program" ` +
      `--user --map-user=${SANDBOX_UID} --map-group=${SANDBOX_GID} --root=. --wd=${BUILD_DIR} -- ` +
      namedCommand(plan).map(quote).join(" "),
  ];
  return {
    program: "unshare",
    args: [
      ...["--user", "--map-root-user", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"],
      ...["--ipc", "--uts"],
      ...(plan.network ? [] : ["--net"]),
      "--",
      "/bin/sh",
      "/proc/self/fd/3",
    ],
    inputs: [Buffer.from(`${lines.join("\n")}\n`, "latin1")],
  };
}

/** Programs of the host run with the builder's variables for a moment; none of these may make them load its libraries. */
export function refuseLoaderVariables(plan: SandboxPlan): void {
  for (const name of plan.variables.keys()) {
    if (!name.startsWith("LD_") && name !== "GLIBC_TUNABLES") continue;
    throw new EngineError(
      "build",
      "EXECUTOR_NEEDS_BWRAP",
      `a builder with the variable '${name}' can only be run by bubblewrap here`,
      {
        hint: "Install bubblewrap.",
      },
    );
  }
}

/** A text as one word of a shell script, as bytes. */
function quote(text: string): ByteString {
  return quoteBytes(Buffer.from(text, "utf8").toString("latin1") as ByteString);
}

function quoteBytes(text: ByteString): ByteString {
  return `'${text.replaceAll("'", "'\\''")}'` as ByteString;
}
