// Parses the words of a command line into what to build; looks only at the words, never at the disk.
import { EngineError } from "../base/errors.ts";
import type { StorePath } from "../formats/store-path.ts";
import { isStorePath, parseStorePath, STORE_DIR } from "../formats/store-path.ts";
import { DEFAULT_OUTPUTS, parseOutputs, type WantedOutputs } from "./wanted-outputs.ts";

/** Something to make valid. */
export type Installable =
  /** A store derivation. */
  | { readonly type: "derivation"; readonly drvPath: StorePath; readonly outputs: WantedOutputs }
  /** A path that only has to be valid. */
  | { readonly type: "storePath"; readonly path: StorePath }
  /** A Nix expression, and attributes of it, each with `^outputs` if given (none: the whole value). */
  | { readonly type: "expression"; readonly text: string; readonly attributes: readonly string[] }
  /** A Nix file, a lookup path such as `<nixpkgs>`, or the URL of a tarball. */
  | { readonly type: "file"; readonly path: string; readonly attributes: readonly string[] }
  /** A build file in TypeScript or JavaScript. */
  | { readonly type: "buildFile"; readonly path: string; readonly attributes: readonly string[] }
  | { readonly type: "flake"; readonly reference: string; readonly outputs: WantedOutputs }
  /** A directory, a link or a file whose name does not tell its kind: `resolve-place.ts` looks at it. */
  | { readonly type: "place"; readonly path: string; readonly attributes: readonly string[] };

/** The words, and the flags that change their meaning. */
export interface InstallableWords {
  readonly words: readonly string[];
  /** `-f`; the words are then attributes of it. */
  readonly file: string | null;
  /** `-E`; the same. */
  readonly expression: string | null;
  /** `-A`, any number of times. */
  readonly attributes: readonly string[];
}

const FLAKE_SCHEME = /^(github|gitlab|sourcehut|flake|indirect|path|git|hg|tarball|file)(\+[a-z]+)?:/;
const ATTRIBUTE = /^[A-Za-z0-9_"][A-Za-z0-9_"'.+-]*(\^.*)?$/;

/**
 * Which program's command line the words follow, which decides how result links are numbered: attributes as words, flake references and
 * `X.drv^outputs` are `nix build`'s, everything else is nix-build's.
 */
export function writtenFor({ words, file, expression, attributes }: InstallableWords): "nix build" | "nix-build" {
  const isNew =
    file !== null || expression !== null
      ? (word: string) => ATTRIBUTE.test(word)
      : (word: string) => (word.startsWith(`${STORE_DIR}/`) ? /\.drv\^/.test(word) : isFlake(word));
  return attributes.length === 0 && words.length > 0 && words.every(isNew) ? "nix build" : "nix-build";
}

/**
 * Parses installables: `X.drv` with `^out1,out2`, `^*` or `!out`, a store path, `'(EXPRESSION)'`, a `.nix` file, a TypeScript or JavaScript build file, a
 * flake reference, a directory. Without words: the current directory's `default.nix` or `default.ts`.
 * @throws EngineError of family `usage`
 */
export function parseInstallables({ words, file, expression, attributes }: InstallableWords): Installable[] {
  if (file !== null && expression !== null) {
    throw usage("INSTALLABLE_TWO_SOURCES", "expected either --file or --expr, found both", "leave one of them out");
  }
  const source = file !== null ? fileOf(file) : expression !== null ? expressionOf(expression) : null;
  if (source === null) {
    return words.length === 0
      ? [{ type: "place", path: ".", attributes }]
      : words.map((word) => parseWord(word, attributes));
  }
  const named = words.filter((word) => ATTRIBUTE.test(word));
  const others = words.filter((word) => !ATTRIBUTE.test(word)).map((word) => parseWord(word, []));
  const all = [...attributes, ...named];
  return all.length === 0 && others.length > 0 ? [source([]), ...others] : [source(all), ...others];
}

type Source = (attributes: readonly string[]) => Installable;

function fileOf(path: string): Source {
  return (attributes) => {
    const known = fileByName(path, attributes);
    return known ?? { type: "place", path, attributes };
  };
}

function expressionOf(text: string): Source {
  return (attributes) => ({ type: "expression", text, attributes });
}

function fileByName(path: string, attributes: readonly string[]): Installable | null {
  if (/\.[cm]?[jt]s$/.test(path) && !/^[a-z][a-z0-9+.-]*:/.test(path)) return { type: "buildFile", path, attributes };
  if (/\.nix$/.test(path) || /^<.+>$/.test(path) || /^(https?|ftp|channel):/.test(path))
    return { type: "file", path, attributes };
  return null;
}

function parseWord(word: string, attributes: readonly string[]): Installable {
  if (word === "")
    throw usage(
      "INSTALLABLE_EMPTY",
      "expected an installable, found an empty word",
      "leave it out, or name what to build",
    );
  if (word.startsWith("(")) return { type: "expression", text: word, attributes };
  if (word.startsWith(`${STORE_DIR}/`)) return parseStoreWord(word);
  if (isFlake(word)) return parseFlake(word, attributes);
  return fileByName(word, attributes) ?? { type: "place", path: word, attributes };
}

function isFlake(word: string): boolean {
  return !word.startsWith("(") && (word.includes("#") || FLAKE_SCHEME.test(word));
}

function parseStoreWord(word: string): Installable {
  const match = /^([^!^]*)(?:[!^](.*))?$/s.exec(word);
  const path = match?.[1] ?? word;
  const outputs = match?.[2];
  if (path.endsWith(".drv") && isStorePath(path)) {
    // A bare `.drv` means every output, as in `nix-store --realise` and `nix-build`.
    return {
      type: "derivation",
      drvPath: path,
      outputs: outputs === undefined ? { type: "all" } : parseOutputs(outputs, word),
    };
  }
  if (outputs !== undefined) {
    throw usage(
      "INSTALLABLE_NOT_A_DERIVATION",
      `'${word}': expected a '.drv' path before '^', found '${path}'`,
      "outputs can be chosen of derivations only",
    );
  }
  const top = path
    .split("/")
    .slice(0, STORE_DIR.split("/").length + 1)
    .join("/");
  return { type: "storePath", path: parseStorePath(top) };
}

function parseFlake(word: string, attributes: readonly string[]): Installable {
  if (attributes.length > 0) {
    const message = `'${word}': expected no --attr with a flake reference, found '${attributes[0]}'`;
    throw usage(
      "INSTALLABLE_FLAKE_ATTRIBUTE",
      message,
      `write the attribute behind '#': ${word.split("#")[0]}#${attributes[0]}`,
    );
  }
  const caret = word.lastIndexOf("^");
  if (caret < 0 || caret < word.indexOf("#")) return { type: "flake", reference: word, outputs: DEFAULT_OUTPUTS };
  return { type: "flake", reference: word.slice(0, caret), outputs: parseOutputs(word.slice(caret + 1), word) };
}

function usage(code: string, message: string, hint: string): EngineError {
  return new EngineError("usage", code, message, { hint });
}
