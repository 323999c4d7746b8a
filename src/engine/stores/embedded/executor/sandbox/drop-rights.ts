// Command prefixes that make a command run with fewer rights; pure.

/** Runs the command as a user without rights: no groups, no capabilities, and no program it starts regains any. */
export function asUser(uid: number): string[] {
  return [
    "setpriv",
    ...[`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
    ...["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"],
  ];
}

/** Runs the command so that no program it starts gets more rights than it has. */
export const WITHOUT_NEW_RIGHTS: readonly string[] = ["setpriv", "--no-new-privs", "--"];

/** The prefix for the last program outside: as the build's user, or, if this process is not root, as itself. */
export function rightsOf(uid: number | null): readonly string[] {
  return uid === null ? WITHOUT_NEW_RIGHTS : asUser(uid);
}
