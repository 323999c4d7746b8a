// Reads netrc files: user names and passwords by host (`netrc-file`; the format of curl and ftp).

export interface NetrcLogin {
  readonly login: string;
  readonly password: string;
}

/** The login for a host: the first `machine` of that name, else `default`; null when the file names neither. */
export function findLogin(text: string, host: string): NetrcLogin | null {
  const words = tokens(text);
  let current: { host: string | null; login: string; password: string } | null = null;
  const entries: { host: string | null; login: string; password: string }[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index];
    switch (word) {
      case "machine":
        current = { host: words[++index] ?? "", login: "", password: "" };
        entries.push(current);
        break;
      case "default":
        current = { host: null, login: "", password: "" };
        entries.push(current);
        break;
      case "login":
        if (current !== null) current.login = words[++index] ?? "";
        break;
      case "password":
        if (current !== null) current.password = words[++index] ?? "";
        break;
      case "account":
        index++;
        break;
    }
  }
  const wanted = host.toLowerCase();
  const found =
    entries.find((entry) => entry.host?.toLowerCase() === wanted) ?? entries.find((entry) => entry.host === null);
  return found === undefined ? null : { login: found.login, password: found.password };
}

/** Words, including quoted ones; without comments and macros. */
function tokens(text: string): string[] {
  const plain = text
    .replace(/(^|\n)macdef\b[\s\S]*?(?:\n[ \t]*\n|$)/g, "\n")
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "$1"))
    .join("\n");
  return [...plain.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g)].map((match) =>
    match[1] === undefined ? (match[2] ?? "") : match[1].replace(/\\(.)/g, "$1"),
  );
}
