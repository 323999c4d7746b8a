// The files for a builder with structured attributes: `.attrs.json`, and `.attrs.sh` for bash (Nix manual, advanced attributes).
import { type ByteString, textOf } from "../../../formats/byte-string.ts";

/** A number as written in the text, because JavaScript's would lose digits and the point of `1.0`. */
class RawNumber {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

type Value = null | boolean | string | RawNumber | readonly Value[] | ValueObject;
interface ValueObject {
  readonly [key: string]: Value;
}

/** The attributes in `__json`, overridden by those in `extra` (JSON texts). Throws SyntaxError when it is not JSON. */
export function attributesWith(json: ByteString, extra: ReadonlyMap<string, string>): ValueObject {
  const attributes = parse(textOf(json)) as ValueObject;
  const all: Record<string, Value> = { ...attributes };
  for (const [name, text] of extra) all[name] = parse(text);
  return all;
}

/** The JSON of attributes as Nix writes it: no blanks, keys sorted bytewise. */
export function printAttributes(value: Value): string {
  if (value instanceof RawNumber) return value.source;
  if (Array.isArray(value)) return `[${value.map(printAttributes).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return `{${sortedEntries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${printAttributes(item)}`)
    .join(",")}}`;
}

/** The attributes that bash can hold: texts, whole numbers, booleans, nulls, and lists and sets of these (Nix: `writeStructuredAttrsShell`). */
export function printShellAttributes(attributes: ValueObject): string {
  let text = "";
  for (const [name, value] of sortedEntries(attributes)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) continue;
    const simple = simpleText(value);
    if (simple !== null) {
      text += `declare ${name}=${simple}\n`;
    } else if (Array.isArray(value)) {
      const items = value.map(simpleText);
      if (!items.includes(null)) text += `declare -a ${name}=(${items.map((item) => `${item} `).join("")})\n`;
    } else if (isObject(value)) {
      const items = sortedEntries(value).map(([key, item]) => [quote(key), simpleText(item)] as const);
      if (items.every(([, item]) => item !== null)) {
        text += `declare -A ${name}=(${items.map(([key, item]) => `[${key}]=${item} `).join("")})\n`;
      }
    }
  }
  return text;
}

function simpleText(value: Value): string | null {
  if (typeof value === "string") return quote(value);
  if (value === null) return "''";
  if (typeof value === "boolean") return value ? "1" : "";
  if (!(value instanceof RawNumber)) return null;
  // Nix decides in single precision and prints a C int.
  const single = Math.fround(Number(value.source));
  if (!Number.isFinite(single) || Math.ceil(single) !== single) return null;
  const whole = /^-?\d+$/.test(value.source) ? BigInt(value.source) : BigInt(Math.trunc(Number(value.source)));
  return String(BigInt.asIntN(32, whole));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function isObject(value: Value): value is ValueObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof RawNumber);
}

function sortedEntries(value: ValueObject): [string, Value][] {
  return Object.entries(value).sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
}

function parse(text: string): Value {
  const keepNumbers = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" ? new RawNumber(context?.source ?? String(value)) : value;
  return JSON.parse(text, keepNumbers) as Value;
}
