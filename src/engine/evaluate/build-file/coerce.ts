// Turns JavaScript values into the strings and JSON that Nix makes of the same values (Nix: coerceToString, printValueAsJSON).
import { EngineError } from "../../base/errors.ts";

/** Something that stands for a store path and prints as such: a derivation, one of its outputs, a source. */
export interface StoreObject {
  /** The store path, or the placeholder of an output whose path depends on its contents. */
  toString(): string;
  readonly [storeObject]: true;
}

/** Marks store objects, so that they are not mistaken for plain objects. */
export const storeObject: unique symbol = Symbol.for("tsbuild-top.storeObject");

/** A value of a derivation's attribute. Plain objects only with `__structuredAttrs`. */
export type AttributeValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | StoreObject
  | readonly AttributeValue[]
  | { readonly [name: string]: AttributeValue };

/** Whether a value stands for a store path. */
export function isStoreObject(value: unknown): value is StoreObject {
  return typeof value === "object" && value !== null && storeObject in value;
}

/**
 * The string of an environment variable: true is `1`, false and null are empty, lists are joined by blanks.
 * @throws EngineError `BUILD_FILE_BAD_ATTRIBUTE`
 */
export function coerceToString(value: AttributeValue, where: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "1" : "";
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "bigint") return numberText(value, where);
  if (isStoreObject(value)) return value.toString();
  if (Array.isArray(value)) return coerceList(value, where);
  throw badAttribute(where, "a string, number, boolean, list, derivation or source", describe(value));
}

/** Nix puts a blank after every element except the last and except empty lists. */
function coerceList(list: readonly AttributeValue[], where: string): string {
  let text = "";
  for (const [index, element] of list.entries()) {
    text += coerceToString(element, `${where}[${index}]`);
    const isEmptyList = Array.isArray(element) && element.length === 0;
    if (index < list.length - 1 && !isEmptyList) text += " ";
  }
  return text;
}

/** Compact JSON with sorted keys, as Nix prints structured attributes. Undefined members are omitted. */
export function coerceToJson(value: AttributeValue, where: string): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") return numberText(value, where);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw badAttribute(where, "a finite number", String(value));
    return JSON.stringify(value);
  }
  if (isStoreObject(value)) return JSON.stringify(value.toString());
  if (Array.isArray(value))
    return `[${value.map((element, index) => coerceToJson(element, `${where}[${index}]`)).join(",")}]`;
  if (typeof value !== "object") throw badAttribute(where, "a value JSON can hold", describe(value));
  const members = Object.entries(value as { readonly [name: string]: AttributeValue })
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([name, member]) => `${JSON.stringify(name)}:${coerceToJson(member, `${where}.${name}`)}`);
  return `{${members.join(",")}}`;
}

/** Whole numbers as digits, others with six decimals, like Nix's integers and floats. */
function numberText(value: number | bigint, where: string): string {
  if (typeof value === "bigint") return value.toString();
  if (!Number.isFinite(value)) throw badAttribute(where, "a finite number", String(value));
  if (!Number.isInteger(value)) return value.toFixed(6);
  if (!Number.isSafeInteger(value))
    throw badAttribute(where, "an integer of at most 53 bits (write larger ones as bigint)", String(value));
  return String(value);
}

/** The error for an attribute that has no meaning in a derivation. */
export function badAttribute(where: string, expected: string, found: string): EngineError {
  return new EngineError("config", "BUILD_FILE_BAD_ATTRIBUTE", `${where}: expected ${expected}, found ${found}`);
}

/** A value in a few words, for messages. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (typeof value === "function") return "a function (was it meant to be called?)";
  if (value instanceof Promise) return "a promise (is an 'await' missing?)";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null
    ? "an object (only allowed with __structuredAttrs)"
    : String(value);
}
