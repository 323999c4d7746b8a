// JSON that was written by somebody else: read up to a depth, for nesting costs whoever walks the value a stack frame a level.

/** Deeper than anything this program writes. */
const MAX_DEPTH = 64;

/**
 * The value of a text.
 * @throws SyntaxError when it is no JSON, or nested deeper than anything this program writes
 */
export function parseBoundedJson(text: string, maxDepth: number = MAX_DEPTH): unknown {
  if (isDeeper(text, maxDepth)) throw new SyntaxError(`nested deeper than ${maxDepth} levels`);
  return JSON.parse(text);
}

function isDeeper(text: string, limit: number): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (isText) {
      // A backslash takes the next character with it, a quote included.
      if (char === 0x5c) at++;
      else if (char === 0x22) isText = false;
    } else if (char === 0x22) isText = true;
    else if (char === 0x5b || char === 0x7b) {
      depth++;
      if (depth > limit) return true;
    } else if (char === 0x5d || char === 0x7d) depth--;
  }
  return false;
}
