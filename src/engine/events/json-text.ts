// JSON that can neither control the terminal it is printed on nor reverse the direction of the text around it.

// JSON itself escapes only what is below U+0020: not DEL and the C1 controls, the marks that change the direction of writing, or invisible ones.
const HARMFUL = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The value as JSON with such characters written as `\uXXXX`, which every JSON reader decodes. */
export function jsonText(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replace(HARMFUL, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
