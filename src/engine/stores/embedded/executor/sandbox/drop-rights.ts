// The words before a command that make it run with fewer rights; pure.

/** Runs what follows as a user of no rights: no groups, no capabilities, and no program it starts gets any back. */
export function asUser(uid: number): string[] {
  return [
    "setpriv",
    ...[`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
    ...["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"],
  ];
}

/** Runs what follows so that no program it starts gets more rights than it has. */
export const WITHOUT_NEW_RIGHTS: readonly string[] = ["setpriv", "--no-new-privs", "--"];

/** What comes before the last program outside: as the build's user, or, where this process is no root, as itself. */
export function rightsOf(uid: number | null): readonly string[] {
  return uid === null ? WITHOUT_NEW_RIGHTS : asUser(uid);
}
