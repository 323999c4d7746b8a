// The command line that runs a program with paths it cannot write to: read-only bind mounts in a mount namespace of its own.
import type { HookUser } from "./build-user.ts";

/** What makes the mounts. `none`: nothing does here; the modes of store objects and the build user are all there is. */
export type ReadOnlyWay = "unshareAsRoot" | "bwrap" | "unshareAsUser" | "none";

/** Binds each path onto itself, read-only; what follows `--` is run in the end. */
const BIND = `while [ "$1" != -- ]; do mount --bind -- "$1" "$1" && mount -o remount,bind,ro -- "$1" || exit 125; shift; done; shift`;

/**
 * The words to run.
 * @param paths absolute, no symlinks
 * @param user whom to become; null stays `self`
 */
export function readOnlyCommand(
  way: ReadOnlyWay,
  paths: readonly string[],
  user: HookUser | null,
  self: HookUser,
  words: readonly [string, ...string[]],
): [string, ...string[]] {
  switch (way) {
    case "none":
      return [...words];
    case "unshareAsRoot": {
      // Without this capability not even root can undo the mounts.
      const drop = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
      if (user !== null) drop.push(`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups");
      const enter = ["--mount", "--propagation=private", "--", "/bin/sh", "-c", `${BIND}; exec "$@"`, "sh"];
      return ["unshare", ...enter, ...paths, "--", ...drop, "--", ...words];
    }
    case "bwrap": {
      const binds = paths.flatMap((path) => ["--ro-bind", path, path]);
      const become =
        user === null ? [] : ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--"];
      const capabilities = self.uid === 0 ? ["--cap-add", "ALL", "--cap-drop", "CAP_SYS_ADMIN"] : [];
      return [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        ...binds,
        ...capabilities,
        "--chdir",
        "/",
        "--die-with-parent",
        "--",
        ...become,
        ...words,
      ];
    }
    case "unshareAsUser": {
      // Mounting needs to be root of a user namespace; a second one inside gives our own number back, and with it no rights over the mounts.
      const inner = `exec unshare --user --map-user=${self.uid} --map-group=${self.gid} -- "$@"`;
      const enter = [
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation=private",
        "--",
        "/bin/sh",
        "-c",
        `${BIND}; ${inner}`,
        "sh",
      ];
      return ["unshare", ...enter, ...paths, "--", ...words];
    }
  }
}
