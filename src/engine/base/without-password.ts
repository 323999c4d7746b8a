// Shows text that may contain URIs without the passwords before the host, even in malformed URIs.

/** Where one URI ends and the next begins: blanks, `;` in a machine list, a URI as the value of a parameter. */
const SEAMS = /(\s+|;(?=[a-z][a-z0-9+.-]*:\/\/)|=(?=[a-z][a-z0-9+.-]*:\/\/))/i;

/** An optional scheme, a user, and the colon after it, also percent-encoded. A port, followed by a path or parameters, is not a password. */
const USER_AND_COLON = /^(?:[a-z][a-z0-9+.-]*:\/\/)?[^:/?[%]*(?:%(?!3a)[^:/?[%]*)*(?::|%3a)(?!\/\/|\d{1,5}[/?;])/i;

/**
 * The text for messages, with `***` for passwords. A password may contain what it should not (`@`, `/`, `?`), often what the message is about,
 * so everything up to the last `@` is left out.
 */
export function withoutPassword(text: string): string {
  return text.split(SEAMS).map(withoutOne).join("");
}

/** A message that names URIs among other words, without their passwords. */
export function proseWithoutPasswords(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(/\S+/g, (word) => {
    if (!word.includes("://") || !word.includes("@")) return word;
    const start = word.search(/\w/);
    return start < 0 ? word : word.slice(0, start) + withoutPassword(word.slice(start));
  });
}

function withoutOne(word: string): string {
  const at = word.lastIndexOf("@");
  const user = USER_AND_COLON.exec(word)?.[0];
  if (user === undefined || at < user.length) return word;
  return `${user}***${word.slice(at)}`;
}
