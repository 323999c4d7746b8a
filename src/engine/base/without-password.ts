// How text that may hold URIs is shown: passwords in front of a host are taken out, however the URI is spoiled.

/** Where one URI ends and the next begins: blanks, `;` of a machine list, a URI as the value of a parameter. */
const SEAMS = /(\s+|;(?=[a-z][a-z0-9+.-]*:\/\/)|=(?=[a-z][a-z0-9+.-]*:\/\/))/i;

/** A scheme or none, a user, and the colon behind it, also encoded. A port, which a path or parameters follow, is no password. */
const USER_AND_COLON = /^(?:[a-z][a-z0-9+.-]*:\/\/)?[^:/?[%]*(?:%(?!3a)[^:/?[%]*)*(?::|%3a)(?!\/\/|\d{1,5}[/?;])/i;

/**
 * The text for messages, with `***` for passwords. A password may hold what it should not (`@`, `/`, `?`), which is then often what the message is about:
 * everything up to the last `@` is left out.
 */
export function withoutPassword(text: string): string {
  return text.split(SEAMS).map(withoutOne).join("");
}

/** A message, in which URIs are named among other words, without their passwords. */
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
