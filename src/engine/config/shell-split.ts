// Splits a text into words as a POSIX shell would, without expanding anything.

/**
 * Words of a text with `'…'`, `"…"` and backslashes read as in a shell (Nix: `shellSplitString`); null when a quote is not closed.
 */
export function shellSplit(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote: "" | "'" | '"' = "";
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    const next = text[at + 1];
    if (quote === "'") {
      if (char === "'") quote = "";
      else word += char;
    } else if (char === "\\" && next !== undefined && (quote === "" || /["\\$`]/.test(next))) {
      word = (word ?? "") + next;
      at += 1;
    } else if (quote === '"') {
      if (char === '"') quote = "";
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + char;
  }
  if (quote !== "") return null;
  if (word !== null) words.push(word);
  return words;
}
