// Which of the build users runs a hook: the group's first member, as group(5) and passwd(5) say.

/** A user and its group. */
export interface HookUser {
  readonly uid: number;
  readonly gid: number;
}

/** The first member of the group that exists, with the group as its only one; null when there is none. */
export function buildUserOf(group: string, groupFile: string, passwdFile: string): HookUser | null {
  const entry = linesOf(groupFile).find(([name]) => name === group);
  const gid = numberOf(entry?.[2]);
  if (entry === undefined || gid === null) return null;
  const users = linesOf(passwdFile);
  for (const member of (entry[3] ?? "").split(",")) {
    const uid = numberOf(users.find(([name]) => name === member)?.[2]);
    if (member !== "" && uid !== null) return { uid, gid };
  }
  return null;
}

function linesOf(file: string): string[][] {
  return file.split("\n").map((line) => line.split(":"));
}

function numberOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : null;
}
