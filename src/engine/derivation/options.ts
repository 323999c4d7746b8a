// The attributes of a derivation that tell Nix how to build it, from its environment or its structured attributes.
import { EngineError, messageOf } from "../base/errors.ts";
import { type ByteString, textOf } from "../formats/byte-string.ts";
import type { BasicDerivation } from "./derivation.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** What an output may refer to, and its maximum size. References are store paths, placeholders or output names. */
export interface OutputChecks {
  /** Whether the checks ignore self-references, as they do without structured attributes. */
  readonly ignoreSelfReferences: boolean;
  /** Bytes; null means no limit. */
  readonly maxSize: number | null;
  readonly maxClosureSize: number | null;
  /** Null allows all. */
  readonly allowedReferences: readonly string[] | null;
  readonly disallowedReferences: readonly string[];
  readonly allowedRequisites: readonly string[] | null;
  readonly disallowedRequisites: readonly string[];
}

/** Checks for all outputs alike, or per output name (only possible with structured attributes). */
export type OutputChecksByOutput =
  | { readonly type: "same"; readonly checks: OutputChecks }
  | { readonly type: "each"; readonly checks: ReadonlyMap<string, OutputChecks> };

/** Options of a derivation (Nix manual, advanced attributes; Nix 2.34 `DerivationOptions`). Lists are sorted and free of repetitions. */
export interface DerivationOptions {
  /**
   * Features a machine must have. Includes `ca-derivations` when contents decide the output paths, as Nix demands of machines.
   */
  readonly requiredSystemFeatures: readonly string[];
  readonly preferLocalBuild: boolean;
  readonly allowSubstitutes: boolean;
  readonly impureHostDeps: readonly string[];
  readonly impureEnvVars: readonly string[];
  readonly noChroot: boolean;
  readonly allowLocalNetworking: boolean;
  readonly additionalSandboxProfile: string;
  /** Names of variables whose values are passed in files; empty with structured attributes. */
  readonly passAsFile: readonly string[];
  /** File name (or attribute name) → store paths or placeholders whose closures are described there. */
  readonly exportReferencesGraph: ReadonlyMap<string, readonly string[]>;
  readonly outputChecks: OutputChecksByOutput;
  /** Outputs that are not scanned for references. */
  readonly unsafeDiscardReferences: readonly string[];
  /** The structured attributes; null when the environment carries everything. */
  readonly structuredAttrs: JsonObject | null;
}

const STRUCTURED_ATTRS = "__json" as ByteString;
const GRAPH_FILE_NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/**
 * Reads the options of a derivation. Throws `DRV_BAD_STRUCTURED_ATTRS` when `__json` is not a JSON object, and `DRV_BAD_OPTION` when an attribute
 * has a form that Nix does not accept; both name the derivation and the attribute.
 */
export function parseDerivationOptions(
  derivation: Pick<BasicDerivation, "name" | "env" | "outputs">,
): DerivationOptions {
  const json = derivation.env.get(STRUCTURED_ATTRS);
  const structuredAttrs = json === undefined ? null : parseStructuredAttrs(derivation.name, json);
  const attributes =
    structuredAttrs === null
      ? new EnvironmentAttributes(derivation.env)
      : new StructuredAttributes(derivation.name, structuredAttrs);
  const features = attributes.strings("requiredSystemFeatures") ?? [];
  return {
    requiredSystemFeatures: contentsDecide(derivation) ? unique([...features, "ca-derivations"]) : features,
    preferLocalBuild: attributes.boolean("preferLocalBuild", false),
    allowSubstitutes: attributes.boolean("allowSubstitutes", true),
    impureHostDeps: attributes.strings("__impureHostDeps") ?? [],
    impureEnvVars: attributes.strings("impureEnvVars") ?? [],
    noChroot: attributes.boolean("__noChroot", false),
    allowLocalNetworking: attributes.boolean("__darwinAllowLocalNetworking", false),
    additionalSandboxProfile: attributes.string("__sandboxProfile") ?? "",
    passAsFile: structuredAttrs === null ? (attributes.strings("passAsFile") ?? []) : [],
    exportReferencesGraph:
      structuredAttrs === null
        ? environmentGraph(derivation.name, attributes.string("exportReferencesGraph") ?? "")
        : structuredGraph(derivation.name, structuredAttrs.exportReferencesGraph),
    outputChecks:
      structuredAttrs === null
        ? { type: "same", checks: checksOf(attributes, true) }
        : { type: "each", checks: structuredChecks(derivation.name, structuredAttrs.outputChecks) },
    unsafeDiscardReferences:
      structuredAttrs === null ? [] : discards(derivation.name, structuredAttrs.unsafeDiscardReferences),
    structuredAttrs,
  };
}

interface Attributes {
  string(name: string): string | null;
  boolean(name: string, otherwise: boolean): boolean;
  strings(name: string): readonly string[] | null;
  size(name: string): number | null;
}

/** Attributes as variables: `1` is true, blanks separate the words of lists. */
class EnvironmentAttributes implements Attributes {
  readonly #env: ReadonlyMap<ByteString, ByteString>;

  constructor(env: ReadonlyMap<ByteString, ByteString>) {
    this.#env = env;
  }

  string(name: string): string | null {
    const value = this.#env.get(name as ByteString);
    return value === undefined ? null : textOf(value);
  }

  boolean(name: string, otherwise: boolean): boolean {
    const value = this.string(name);
    return value === null ? otherwise : value === "1";
  }

  strings(name: string): readonly string[] | null {
    const value = this.string(name);
    return value === null ? null : unique(tokens(value));
  }

  size(): null {
    return null;
  }
}

/** Attributes as JSON values. */
class StructuredAttributes implements Attributes {
  readonly #derivation: string;
  readonly #attributes: JsonObject;

  constructor(derivation: string, attributes: JsonObject) {
    this.#derivation = derivation;
    this.#attributes = attributes;
  }

  string(name: string): string | null {
    const value = get(this.#attributes, name);
    if (value === undefined) return null;
    if (typeof value !== "string") throw badOption(this.#derivation, name, "a string", value);
    return value;
  }

  boolean(name: string, otherwise: boolean): boolean {
    const value = get(this.#attributes, name);
    if (value === undefined) return otherwise;
    if (typeof value !== "boolean") throw badOption(this.#derivation, name, "a boolean", value);
    return value;
  }

  strings(name: string): readonly string[] | null {
    const value = get(this.#attributes, name);
    if (value === undefined) return null;
    if (!Array.isArray(value) || !value.every((item): item is string => typeof item === "string")) {
      throw badOption(this.#derivation, name, "a list of strings", value);
    }
    return unique(value);
  }

  size(name: string): number | null {
    const value = get(this.#attributes, name);
    if (value === undefined) return null;
    if (typeof value !== "number" || value < 0) throw badOption(this.#derivation, name, "a number of bytes", value);
    return value;
  }
}

function parseStructuredAttrs(derivation: string, json: ByteString): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(textOf(json)) as Json;
  } catch (error) {
    throw new EngineError(
      "format",
      "DRV_BAD_STRUCTURED_ATTRS",
      `derivation '${derivation}': cannot process __json attribute: ${messageOf(error)}`,
      { cause: error },
    );
  }
  if (isObject(value)) return value;
  throw new EngineError(
    "format",
    "DRV_BAD_STRUCTURED_ATTRS",
    `derivation '${derivation}': cannot process __json attribute: expected an object, found ${excerpt(value)}`,
  );
}

/** Whether an output's path depends on the contents that the build produces. */
function contentsDecide(derivation: Pick<BasicDerivation, "outputs">): boolean {
  for (const output of derivation.outputs.values())
    if (output.type === "floating" || output.type === "impure") return true;
  return false;
}

function checksOf(attributes: Attributes, ignoreSelfReferences: boolean): OutputChecks {
  return {
    ignoreSelfReferences,
    maxSize: attributes.size("maxSize"),
    maxClosureSize: attributes.size("maxClosureSize"),
    allowedReferences: attributes.strings("allowedReferences"),
    disallowedReferences: attributes.strings("disallowedReferences") ?? [],
    allowedRequisites: attributes.strings("allowedRequisites"),
    disallowedRequisites: attributes.strings("disallowedRequisites") ?? [],
  };
}

function structuredChecks(derivation: string, value: Json | undefined): Map<string, OutputChecks> {
  const checks = new Map<string, OutputChecks>();
  if (value === undefined) return checks;
  if (!isObject(value)) throw badOption(derivation, "outputChecks", "an object", value);
  for (const [output, each] of Object.entries(value)) {
    if (!isObject(each)) throw badOption(derivation, `outputChecks.${output}`, "an object", each);
    checks.set(output, checksOf(new StructuredAttributes(derivation, each), false));
  }
  return checks;
}

function discards(derivation: string, value: Json | undefined): string[] {
  if (value === undefined) return [];
  if (!isObject(value)) throw badOption(derivation, "unsafeDiscardReferences", "an object", value);
  return Object.entries(value)
    .filter(([output, discard]) => {
      if (typeof discard !== "boolean") {
        throw badOption(derivation, `unsafeDiscardReferences.${output}`, "a boolean", discard);
      }
      return discard;
    })
    .map(([output]) => output)
    .sort();
}

function environmentGraph(derivation: string, value: string): Map<string, readonly string[]> {
  const words = tokens(value);
  if (words.length % 2 !== 0)
    throw badOption(derivation, "exportReferencesGraph", "pairs of file name and path", value);
  const graph = new Map<string, readonly string[]>();
  for (let index = 0; index < words.length; index += 2) {
    const fileName = words[index]!;
    if (!GRAPH_FILE_NAME.test(fileName)) throw badOption(derivation, "exportReferencesGraph", "a file name", fileName);
    graph.set(fileName, [words[index + 1]!]);
  }
  return graph;
}

function structuredGraph(derivation: string, value: Json | undefined): Map<string, readonly string[]> {
  const graph = new Map<string, readonly string[]>();
  // Nix warns and continues when this is not an object.
  if (value === undefined || !isObject(value)) return graph;
  for (const [name, paths] of Object.entries(value)) {
    const flat: string[] = [];
    flatten(derivation, paths, flat);
    graph.set(name, unique(flat));
  }
  return graph;
}

function flatten(derivation: string, value: Json, flat: string[]): void {
  if (typeof value === "string") flat.push(value);
  else if (Array.isArray(value)) for (const item of value) flatten(derivation, item, flat);
  else throw badOption(derivation, "exportReferencesGraph", "a string or a list", value);
}

function get(attributes: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function tokens(text: string): string[] {
  return text.split(/[ \t\n\r]+/).filter((word) => word !== "");
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}

function excerpt(value: Json): string {
  return JSON.stringify(value).slice(0, 100);
}

function badOption(derivation: string, name: string, expected: string, found: Json): EngineError {
  return new EngineError(
    "format",
    "DRV_BAD_OPTION",
    `derivation '${derivation}': attribute '${name}': expected ${expected}, found ${excerpt(found)}`,
  );
}
