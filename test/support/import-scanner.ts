// Reads which modules a TypeScript or TSX source names, and how, without a compiler: static, re-exported, dynamic, types only.

/** One mention of a module. */
export interface ImportMention {
  readonly specifier: string;
  /** Gone after compilation: `import type`, `export type`, `import("…").T` as a type. Inline `{ type A }` is not: the module is loaded. */
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
  /** Counted from 1. */
  readonly line: number;
}

type Token =
  | { readonly kind: "word" | "mark"; readonly text: string; readonly at: number }
  | { readonly kind: "string"; readonly text: string; readonly at: number };

// After these words a slash begins a regular expression; after other words it divides.
const operators = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "delete",
  "void",
  "throw",
  "new",
  "else",
  "await",
  "yield",
]);

/** Every mention, in the order of the source. Comments, strings, templates' text and regular expressions are not code. */
export function scanImports(source: string): ImportMention[] {
  const tokens = tokenize(source);
  const found: ImportMention[] = [];
  const mention = (at: number, specifier: string, typeOnly: boolean, dynamic: boolean) => {
    found.push({ specifier, typeOnly, dynamic, line: source.slice(0, at).split("\n").length });
  };
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== "word" || tokens[index - 1]?.text === ".") continue;
    const next = tokens[index + 1];
    if (next === undefined) continue;
    if ((token.text === "import" || token.text === "require") && next.text === "(" && next.kind === "mark") {
      const argument = tokens[index + 2];
      const member = tokens[index + 5];
      const isType =
        tokens[index - 1]?.text === "typeof" || (tokens[index + 4]?.text === "." && /^[A-Z]/.test(member?.text ?? ""));
      if (argument?.kind === "string") mention(token.at, argument.text, isType, true);
    } else if (token.text === "import" && next.kind === "string") {
      mention(token.at, next.text, false, false);
    } else if (token.text === "import" || token.text === "export") {
      const typeOnly = next.text === "type" && tokens[index + 2]?.text !== "from";
      const from = clauseEnd(tokens, index + (typeOnly ? 2 : 1));
      const specifier = from === null ? undefined : tokens[from + 1];
      if (specifier?.kind === "string") mention(token.at, specifier.text, typeOnly, false);
    }
  }
  return found;
}

/** The source with comments, string contents and regular expressions replaced by blanks: what is left is code, on its own lines. */
export function codeOnly(source: string): string {
  const kept: string[] = Array.from({ length: source.length }, (_, at) => (source[at] === "\n" ? "\n" : " "));
  for (const token of tokenize(source)) {
    if (token.kind === "string") continue;
    for (let offset = 0; offset < token.text.length; offset += 1) kept[token.at + offset] = token.text[offset] ?? " ";
  }
  return kept.join("");
}

/** Index of the `from` that ends the names of an import or export, or null where there is none (`export const`, `import.meta`). */
function clauseEnd(tokens: readonly Token[], start: number): number | null {
  let depth = 0;
  for (let index = start; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token === undefined || token.kind === "string") return null;
    if (token.text === "{") depth += 1;
    else if (token.text === "}") depth -= 1;
    else if (depth === 0 && token.text === "from" && tokens[index + 1]?.kind === "string") return index;
    else if (token.kind === "mark" && token.text !== "," && token.text !== "*") return null;
    else if (depth === 0 && declarations.has(token.text)) return null;
  }
  return null;
}

const declarations = new Set([
  "const",
  "let",
  "var",
  "function",
  "class",
  "interface",
  "async",
  "abstract",
  "declare",
  "default",
]);

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  // Open braces of template substitutions: at the matching "}" the template's text goes on.
  const templates: number[] = [];
  let braces = 0;
  let at = 0;
  const templateText = (from: number): number => {
    for (let end = from; end < source.length; end += 1) {
      if (source[end] === "\\") end += 1;
      else if (source[end] === "`") return end + 1;
      else if (source[end] === "$" && source[end + 1] === "{") {
        templates.push(braces);
        braces += 1;
        return end + 2;
      }
    }
    return source.length;
  };
  while (at < source.length) {
    const rest = source.slice(at, at + 2);
    const character = rest[0] ?? "";
    if (rest === "//") {
      const end = source.indexOf("\n", at);
      at = end === -1 ? source.length : end;
    } else if (rest === "/*") {
      const end = source.indexOf("*/", at + 2);
      at = end === -1 ? source.length : end + 2;
    } else if (/\s/.test(character)) {
      at += 1;
    } else if (character === '"' || character === "'") {
      const match = stickyMatch(
        character === '"' ? /"(?:[^"\\\n]|\\[\s\S])*"/y : /'(?:[^'\\\n]|\\[\s\S])*'/y,
        source,
        at,
      );
      // An apostrophe in JSX text opens nothing.
      if (match !== null) tokens.push({ kind: "string", text: match.slice(1, -1), at });
      at += match?.length ?? 1;
    } else if (character === "`") {
      tokens.push({ kind: "string", text: "", at });
      at = templateText(at + 1);
    } else if (character === "/" && regexMayBegin(tokens.at(-1))) {
      const match = stickyMatch(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y, source, at);
      if (match === null) tokens.push({ kind: "mark", text: "/", at });
      else tokens.push({ kind: "string", text: "", at });
      at += match?.length ?? 1;
    } else if (/[A-Za-z0-9_$#]/.test(character)) {
      const word = stickyMatch(/[A-Za-z0-9_$#]+/y, source, at) ?? character;
      tokens.push({ kind: "word", text: word, at });
      at += word.length;
    } else {
      if (character === "{") braces += 1;
      if (character === "}") {
        braces -= 1;
        if (templates.at(-1) === braces) {
          templates.pop();
          at = templateText(at + 1);
          continue;
        }
      }
      tokens.push({ kind: "mark", text: character, at });
      at += 1;
    }
  }
  return tokens;
}

function stickyMatch(pattern: RegExp, source: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? null;
}

function regexMayBegin(previous: Token | undefined): boolean {
  if (previous === undefined) return true;
  switch (previous.kind) {
    case "string":
      return false;
    case "word":
      return operators.has(previous.text);
    case "mark":
      // "<" would be a closing JSX tag.
      return ![")", "]", "}", "<"].includes(previous.text);
  }
}
