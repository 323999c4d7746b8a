// Picks the requested derivations from a build file's exports: the default, attributes by path, functions called with arguments.
import { EngineError } from "../../base/errors.ts";
import { describe, isStoreObject } from "./coerce.ts";
import type { BuildFileRequest } from "./messages.ts";

/** An output to build. A derivation stands for its first. */
export interface Picked {
  readonly drvPath: string;
  readonly output: string;
}

/**
 * The requested derivations: with `-A a.b` the attribute, else the default export, else all exports. An object stands for every derivation in
 * it, as in nix-build.
 * @throws EngineError `BUILD_FILE_NO_ATTRIBUTE`, `BUILD_FILE_NOTHING_TO_BUILD`, `BUILD_FILE_BAD_ARGUMENT`
 */
export async function pick(exported: unknown, request: BuildFileRequest): Promise<Picked[]> {
  const { default: byDefault, ...named } = exported as Record<string, unknown>;
  const root = await call(byDefault ?? named, request);
  if (request.attributes.length === 0) return collect(root, "the build file", request);
  const picked: Picked[] = [];
  for (const attribute of request.attributes) {
    let value = root;
    const taken: string[] = [];
    for (const part of attribute.split(".").filter(Boolean)) {
      taken.push(part);
      const owner: unknown = value;
      value = await call(memberOf(owner, part) ?? (taken.length === 1 ? named[part] : undefined), request);
      if (value === undefined)
        throw missing(attribute, taken.slice(0, -1).join("."), owner, taken.length === 1 ? named : {});
    }
    picked.push(...(await collect(value, `attribute '${attribute}'`, request)));
  }
  return picked;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

async function call(value: unknown, request: BuildFileRequest): Promise<unknown> {
  const awaited = await value;
  if (typeof awaited !== "function") return awaited;
  const given: Record<string, unknown> = {};
  for (const argument of request.arguments) {
    given[argument.name] = argument.type === "text" ? argument.value : parseArgument(argument.name, argument.value);
  }
  return (awaited as (given: Record<string, unknown>) => unknown)(given);
}

function parseArgument(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EngineError(
      "usage",
      "BUILD_FILE_BAD_ARGUMENT",
      `--arg ${name}: expected JSON, found '${text.slice(0, 80)}'`,
      {
        hint: `for a text use: --argstr ${name} '${text.slice(0, 80)}'`,
      },
    );
  }
}

async function collect(value: unknown, where: string, request: BuildFileRequest): Promise<Picked[]> {
  const picked = one(value);
  if (picked !== null) return [picked];
  if (typeof value === "object" && value !== null && !isStoreObject(value)) {
    const all: Picked[] = [];
    for (const member of Object.values(value)) {
      const found = one(await member);
      if (found !== null) all.push(found);
    }
    if (all.length > 0) return all;
  }
  throw new EngineError(
    "config",
    "BUILD_FILE_NOTHING_TO_BUILD",
    `${where}: expected a derivation or an object of derivations, found ${describe(value)}`,
    {
      hint: `export one: export default derivation({ … }) in ${request.file}`,
    },
  );
}

function one(value: unknown): Picked | null {
  if (!isStoreObject(value)) return null;
  if (!("drvPath" in value) || !("outputName" in value)) return null;
  return { drvPath: String(value.drvPath), output: String(value.outputName) };
}

function missing(attribute: string, owner: string, value: unknown, named: object): EngineError {
  const known = [...(typeof value === "object" && value !== null ? Object.keys(value) : []), ...Object.keys(named)];
  const list = known.length === 0 ? "nothing" : known.slice(0, 20).join(", ");
  return new EngineError(
    "usage",
    "BUILD_FILE_NO_ATTRIBUTE",
    `attribute '${attribute}': expected it in ${owner === "" ? "the build file" : `'${owner}'`}, found ${list}`,
  );
}
