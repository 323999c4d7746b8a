// The command line that runs a program with paths it cannot write to: read-only bind mounts in a mount namespace of its own.
import type { HookUser } from "./build-user.ts";

/** What makes the mounts. `none`: nothing does here; the modes of store objects and the build user are all there is. */
export type ReadOnlyWay = "unshareAsRoot" | "bwrap" | "unshareAsUser" | "none";

/** Where each program that makes mounts or changes users is: a hook's own PATH need not lead to them. */
export type MountPrograms = Readonly<Record<"unshare" | "mount" | "setpriv" | "bwrap", string>>;

/** Binds each path onto itself, read-only; what follows `--` is run in the end. The program that mounts is the first word. */
const SCRIPT = `mount=$1; shift; while [ "$1" != -- ]; do "$mount" --bind -- "$1" "$1" && "$mount" -o remount,bind,ro -- "$1" || exit 125; shift; done; shift; exec "$@"`;

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
  programs: MountPrograms,
): [string, ...string[]] {
  switch (way) {
    case "none":
      return [...words];
    case "unshareAsRoot": {
      // Without this capability not even root can undo the mounts.
      const drop = [programs.setpriv, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
      if (user !== null) drop.push(`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups");
      const enter = ["--mount", "--propagation=private", "--", "/bin/sh", "-c", SCRIPT, "sh"];
      return [programs.unshare, ...enter, programs.mount, ...paths, "--", ...drop, "--", ...words];
    }
    case "bwrap": {
      const binds = paths.flatMap((path) => ["--ro-bind", path, path]);
      const become =
        user === null ? [] : [programs.setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--"];
      const capabilities = self.uid === 0 ? ["--cap-add", "ALL", "--cap-drop", "CAP_SYS_ADMIN"] : [];
      return [
        programs.bwrap,
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
      const enter = [
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation=private",
        "--",
        "/bin/sh",
        "-c",
        SCRIPT,
        "sh",
      ];
      const inner = [programs.unshare, "--user", `--map-user=${self.uid}`, `--map-group=${self.gid}`, "--"];
      return [programs.unshare, ...enter, programs.mount, ...paths, "--", ...inner, ...words];
    }
  }
}
