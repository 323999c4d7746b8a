// Checks of values that were read: each returns what is wrong and where in the value, or null.

/** What is wrong with a value: the path of the field from the top, what was expected there, what was found. */
export interface Misfit {
  readonly field: string;
  readonly expected: string;
  readonly found: unknown;
}

/** Null when the value is valid. */
export type Check = (value: unknown, field: string) => Misfit | null;

/** A value that passes the test. */
export function check(expected: string, test: (value: unknown) => boolean): Check {
  return (value, field) => (test(value) ? null : { field, expected, found: value });
}

export const text = check("a text", (value) => typeof value === "string");
export const truth = check("true or false", (value) => typeof value === "boolean");
export const amount = check("a number", (value) => typeof value === "number" && Number.isFinite(value));

/** A wall time that can be displayed. */
export const time = check("a time", (value) => typeof value === "number" && Math.abs(value) <= 8.64e15);

/** A 64-bit number as text. */
export const decimal = check(
  "a decimal number as text",
  (value) => typeof value === "string" && /^\d{1,20}$/.test(value),
);

/** A whole number from 0 to a maximum. */
export function count(max: number): Check {
  return check(
    `a whole number up to ${max}`,
    (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= max,
  );
}

export function oneOf(...words: readonly string[]): Check {
  return check(words.map((word) => `'${word}'`).join(" or "), (value) => words.includes(value as string));
}

export function orNull(inner: Check): Check {
  return (value, field) => (value === null ? null : inner(value, field));
}

/** A list. The length of its line bounds its own. */
export function list(inner: Check): Check {
  return (value, field) => {
    if (!Array.isArray(value)) return { field, expected: "a list", found: value };
    for (const [index, item] of value.entries()) {
      const misfit = inner(item, `${field}[${index}]`);
      if (misfit !== null) return misfit;
    }
    return null;
  };
}

/** An object with these fields, and possibly others. */
export function fields(shape: Readonly<Record<string, Check>>): Check {
  return (value, field) => {
    if (!isFields(value)) return { field, expected: "an object", found: value };
    for (const [name, inner] of Object.entries(shape)) {
      const misfit = inner(value[name], field === "" ? name : `${field}.${name}`);
      if (misfit !== null) return misfit;
    }
    return null;
  };
}

/** An object whose `type` decides which fields it has. */
export function variant(shapes: Readonly<Record<string, Readonly<Record<string, Check>>>>): Check {
  const checks = new Map(Object.entries(shapes).map(([type, shape]) => [type, fields(shape)]));
  return (value, field) => {
    if (!isFields(value)) return { field, expected: "an object", found: value };
    const inner = checks.get(value.type as string);
    const expected = Object.keys(shapes).join(", ");
    if (inner === undefined) return { field: `${field}.type`, expected: `one of ${expected}`, found: value.type };
    return inner(value, field);
  };
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
