// Parses JSON from untrusted sources up to a maximum depth, because code that walks the value needs a stack frame for each level.

/** Deeper than anything this program writes. */
const MAX_DEPTH = 64;

/**
 * Parses a JSON text.
 * @throws SyntaxError when it is not JSON, or nested deeper than `maxDepth`
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
      // A backslash escapes the next character, even a quote.
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
