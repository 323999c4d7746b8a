// The kinds of values that settings and store parameters have: how each is parsed from text, printed and appended to.

/** One kind of value. `parse` returns undefined when the text does not have the `expected` form; no kind has undefined as a value. */
export interface ValueKind<T> {
  /** For documentation: `boolean`, `integer`, `list`… */
  readonly label: string;
  /** What the text should have been, for error messages. */
  readonly expected: string;
  readonly parse: (text: string) => T | undefined;
  readonly print: (value: T) => string;
  /** What `extra-NAME` does; null where Nix has no such form. */
  readonly append: ((value: T, more: T) => T) | null;
  /** Switches have no argument on the command line: `--fallback`, `--no-fallback`. */
  readonly isSwitch: boolean;
}

/** The value type of a kind. */
export type ValueOf<Kind> = Kind extends ValueKind<infer T> ? T : never;

function kind<T>(
  label: string,
  expected: string,
  parse: (text: string) => T | undefined,
  print: (value: T) => string,
  append: ((value: T, more: T) => T) | null = null,
): ValueKind<T> {
  return { label, expected, parse, print, append, isSwitch: false };
}

/** Splits at blanks as Nix's `tokenizeString` does. */
export function splitWords(text: string): string[] {
  return text.split(/[ \t\n\r]+/).filter((word) => word !== "");
}

const UNIT_SHIFTS: Readonly<Record<string, bigint>> = { K: 10n, M: 20n, G: 30n, T: 40n };

/** A whole number with Nix's optional unit (`K`, `M`, `G`, `T`: powers of 1024); undefined for anything else. */
export function parseAmount(text: string): bigint | undefined {
  const match = /^(-?\d{1,19})([KMGT]?)$/i.exec(text);
  if (!match) return undefined;
  return BigInt(match[1] ?? "") << (UNIT_SHIFTS[(match[2] ?? "").toUpperCase()] ?? 0n);
}

/** `true`, `yes`, `1` and their opposites. */
export const bool: ValueKind<boolean> = {
  ...kind(
    "boolean",
    "'true' or 'false'",
    (text) =>
      text === "true" || text === "yes" || text === "1"
        ? true
        : text === "false" || text === "no" || text === "0"
          ? false
          : undefined,
    (value) => (value ? "true" : "false"),
  ),
  isSwitch: true,
};

/** A whole number from 0 to 2^53 - 1. */
export const count: ValueKind<number> = kind(
  "integer",
  "a whole number, 0 or more",
  (text) => {
    const value = parseAmount(text);
    return value === undefined || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value);
  },
  String,
);

/** A whole number that may be negative (priorities). */
export const integer: ValueKind<number> = kind(
  "integer",
  "a whole number",
  (text) => {
    const value = parseAmount(text);
    return value === undefined || value < -(2n ** 53n) + 1n || value >= 2n ** 53n ? undefined : Number(value);
  },
  String,
);

/** A number of bytes up to 2^64 - 1, with an optional unit. */
export const bytes: ValueKind<bigint> = kind(
  "bytes",
  "a number of bytes, such as '1048576' or '64M'",
  (text) => {
    const value = parseAmount(text);
    return value === undefined || value < 0n || value >= 2n ** 64n ? undefined : value;
  },
  String,
);

/** Any text. */
export const text: ValueKind<string> = kind(
  "text",
  "a text",
  (value) => value,
  (value) => value,
);

/** A text, null when empty. */
export const optionalText: ValueKind<string | null> = kind(
  "text",
  "a text",
  (value) => (value === "" ? null : value),
  (value) => value ?? "",
);

/** An absolute path, null when empty. */
export const optionalPath: ValueKind<string | null> = kind(
  "path",
  "an absolute path",
  (value) => (value === "" ? null : value.startsWith("/") ? value : undefined),
  (value) => value ?? "",
);

/** An absolute path. */
export const path: ValueKind<string> = kind(
  "path",
  "an absolute path",
  (value) => (value.startsWith("/") ? value : undefined),
  (value) => value,
);

/** Words separated by blanks, in order. */
export const list: ValueKind<readonly string[]> = kind<readonly string[]>(
  "list",
  "words separated by blanks",
  splitWords,
  (value) => value.join(" "),
  (value, more) => [...value, ...more],
);

/** Words separated by blanks, each once. */
export const set: ValueKind<ReadonlySet<string>> = kind<ReadonlySet<string>>(
  "set",
  "words separated by blanks",
  (value) => new Set(splitWords(value)),
  (value) => [...value].join(" "),
  (value, more) => new Set([...value, ...more]),
);

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(...words: Words): ValueKind<Words[number]> {
  return kind(
    words.join(" | "),
    words.map((word) => `'${word}'`).join(" or "),
    (value) => words.find((word) => word === value),
    (value) => value,
  );
}

/** Builds per machine: a number, or `auto` for one per core, which remains `auto` until the cores are known. */
export const jobs: ValueKind<number | "auto"> = kind(
  "integer or auto",
  "'auto' or a whole number, 0 or more",
  (value) => (value === "auto" ? "auto" : count.parse(value)),
  String,
);

/** The same kind for a value that may be unset: null when nothing is written. */
export function nullable<T>({ label, expected, parse, print, isSwitch }: ValueKind<T>): ValueKind<T | null> {
  return { label, expected, parse, print: (value) => (value === null ? "" : print(value)), append: null, isSwitch };
}
