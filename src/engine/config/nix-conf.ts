// The grammar of nix.conf: parses one text into entries with their file and line; the caller follows includes.
import { EngineError } from "../base/errors.ts";
import { splitWords } from "./value-kinds.ts";

/** Where something is written: a file (or `NIX_CONFIG`, `--builders`…) and a line, counted from 1. */
export interface Where {
  readonly file: string;
  readonly line: number;
}

/** `file:line`, as error messages begin. */
export function printWhere(where: Where): string {
  return `${where.file}:${where.line}`;
}

/** A text without the byte order mark that some editors put at the start of a file. */
export function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, "");
}

/** One directive of a nix.conf. */
export type NixConfEntry =
  | { readonly type: "setting"; readonly name: string; readonly value: string; readonly where: Where }
  /** `include` (the file must exist) or `!include` (it may be missing). The path is as written, relative to the file's directory. */
  | { readonly type: "include"; readonly path: string; readonly optional: boolean; readonly where: Where };

/** An entry after its includes have been read. */
export type NixConfSetting = Extract<NixConfEntry, { type: "setting" }>;

/**
 * Parses a nix.conf (Nix manual, nix.conf; `applyConfig` of Nix): `#` starts a comment anywhere, `name = value` needs blanks around
 * the `=`, and the words of the value are joined by single blanks. A value ends with its line.
 * @throws EngineError `CONFIG_SYNTAX` naming file and line.
 */
export function parseNixConf(text: string, file: string): NixConfEntry[] {
  const entries: NixConfEntry[] = [];
  let line = 0;
  for (const raw of withoutMark(text).split("\n")) {
    line += 1;
    const where: Where = { file, line };
    const content = raw.split("#", 1)[0] ?? "";
    const [first, second, ...rest] = splitWords(content);
    if (first === undefined) continue;
    if (first === "include" || first === "!include") {
      if (second === undefined || rest.length > 0) throw syntaxError(where, content, `'${first} PATH'`);
      entries.push({ type: "include", path: second, optional: first === "!include", where });
      continue;
    }
    if (second === "=") {
      entries.push({ type: "setting", name: first, value: rest.join(" "), where });
      continue;
    }
    throw syntaxError(where, content, "'NAME = VALUE', 'include PATH' or '!include PATH'");
  }
  return entries;
}

function syntaxError(where: Where, content: string, expected: string): EngineError {
  return new EngineError(
    "config",
    "CONFIG_SYNTAX",
    `${printWhere(where)}: syntax error in configuration line '${content.trim().slice(0, 300)}': expected ${expected}`,
    { hint: "blanks are needed around '='" },
  );
}
