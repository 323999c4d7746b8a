// Determines, by trying once, how builders can be sandboxed on this machine.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { EngineError } from "../../../../base/errors.ts";
import { searchPath } from "../../files/flock.ts";
import type { SandboxProgram } from "../../settings.ts";
import { buildIds, type IdRange } from "../process/build-users.ts";
import { asUser, rightsOf, WITHOUT_NEW_RIGHTS } from "./drop-rights.ts";
import type { Bubblewrap } from "./sandbox-bwrap.ts";
import { seccompFilter } from "./seccomp.ts";

/** The kinds of sandboxes. */
export type Capability =
  | { readonly type: "bwrap"; readonly bubblewrap: Bubblewrap }
  | { readonly type: "unshare" }
  /** Only a private root directory; warn about it. `nsenter`, if usable, enters it at the right directory, chroot only at its top. */
  | { readonly type: "chroot"; readonly nsenter: boolean };

/** The warning, shown once, that builds are not sandboxed. */
export const UNSANDBOXED_NOTICE =
  "warning: this system allows no namespaces, so builders run unsandboxed in a private root directory: " +
  "they can use the network and see other processes. Install bubblewrap or allow user namespaces for isolated builds.";

/** Time limit (milliseconds) of one try. */
const PATIENCE = 10_000;

/** Runs a program and returns whether it exited with status 0, and its output. */
export type Try = (program: string, args: readonly string[]) => { readonly ok: boolean; readonly output: string };

/**
 * Tries the allowed kinds; `wish` excludes all but one.
 * @param uid a user for builders, null when they run as this process's user, for which a private root directory is not enough
 * @throws EngineError `EXECUTOR_NO_SANDBOX` with the way out.
 */
export function probeCapability(wish: SandboxProgram, uid: number | null, attempt: Try = tryProgram): Capability {
  const wanted = (program: SandboxProgram): boolean => wish === "auto" || wish === program;
  if (wanted("bwrap")) {
    const bubblewrap = probeBubblewrap(uid, attempt);
    if (bubblewrap !== null) return { type: "bwrap", bubblewrap };
  }
  if (wanted("unshare") && unshareWorks(uid, attempt)) return { type: "unshare" };
  const trivial = ["/bin/sh", "-c", ":"];
  if (
    wanted("chroot") &&
    uid !== null &&
    attempt("setpriv", [...WITHOUT_NEW_RIGHTS.slice(1), "chroot", "/", ...trivial]).ok
  ) {
    const nsenter = attempt("nsenter", [
      "--root=/",
      "--wd=/",
      `--setgid=${uid}`,
      `--setuid=${uid}`,
      "--",
      ...trivial,
    ]).ok;
    return { type: "chroot", nsenter };
  }
  throw new EngineError(
    "build",
    "EXECUTOR_NO_SANDBOX",
    wish === "auto"
      ? "this system allows neither user namespaces nor a private root directory, so nothing can be built here"
      : `builders cannot be run by '${wish}' here`,
    {
      hint:
        "Install bubblewrap and allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
        "kernel.apparmor_restrict_unprivileged_userns), run as root, or build on other machines only (--max-jobs 0).",
    },
  );
}

/** The same, unless it is only a private root directory and that is not allowed. @throws EngineError `EXECUTOR_NO_SANDBOX` */
export function fallingBack(capability: Capability, isAllowed: boolean): Capability {
  if (capability.type !== "chroot" || isAllowed) return capability;
  throw new EngineError(
    "build",
    "EXECUTOR_NO_SANDBOX",
    "builds cannot be sandboxed here, only given a root directory of their own, and sandbox-fallback is false",
    { hint: "allow user namespaces or install bubblewrap; with sandbox-fallback builds run all the same" },
  );
}

/** The ids for builders, null when this process cannot change its user. */
export function ownBuildIds(): IdRange | null {
  return buildIds(process.geteuid?.() === 0, readFileSync("/proc/self/uid_map", "latin1"));
}

/** Makes sure that something can be built here, before any work begins. @throws EngineError `EXECUTOR_NO_SANDBOX` */
export function demandSandbox(): void {
  probeCapability("auto", ownBuildIds()?.first ?? null);
}

function probeBubblewrap(uid: number | null, attempt: Try): Bubblewrap | null {
  const version = attempt("bwrap", ["--version"]);
  const match = /(\d+)\.(\d+)/.exec(version.output);
  if (!version.ok || match === null) return null;
  const command = [
    ...["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"],
    ...["--uid", "1000", "--gid", "100", "--die-with-parent", "--as-pid-1", "--ro-bind", "/", "/"],
    ...["--proc", "/proc", "--dev", "/dev", "--", "/bin/sh", "-c", ":"],
  ];
  const works =
    uid === null
      ? attempt("bwrap", command.slice(1))
      : attempt("unshare", [
          ...["--mount", "--propagation", "private", "--", "/bin/sh", "-c"],
          `mount -t tmpfs none /tmp && exec ${[...asUser(uid), ...command].map((word) => (word === ":" ? "':'" : word)).join(" ")}`,
        ]);
  if (!works.ok) return null;
  const filter = seccompFilter(process.arch);
  return { program: "bwrap", setsName: Number(match[1]) > 0 || Number(match[2]) >= 9, filter };
}

function unshareWorks(uid: number | null, attempt: Try): boolean {
  const inner = `exec ${rightsOf(uid).join(" ")} unshare --user --map-user=1000 --map-group=100 --root=/ --wd=/ -- /bin/sh -c :`;
  return attempt("unshare", [
    ...(uid === null ? ["--user", "--map-root-user"] : []),
    ...["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--ipc", "--uts", "--net"],
    ...["--", "/bin/sh", "-c", `mount -t tmpfs none /tmp && mount -t proc none /proc && ${inner}`],
  ]).ok;
}

function tryProgram(program: string, args: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const { status, stdout } = spawnSync(program, args, {
    encoding: "utf8",
    env: { PATH: searchPath() },
    stdio: ["ignore", "pipe", "ignore"],
    timeout: PATIENCE,
  });
  return { ok: status === 0, output: stdout ?? "" };
}
