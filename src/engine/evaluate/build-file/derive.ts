// Makes a derivation from attributes exactly as Nix's `derivationStrict` does (Nix 2.8 to 2.34, primops.cc), so that the `.drv` is the same.

import { EngineError } from "../../base/errors.ts";
import type {
  ContentAddressMethod,
  Derivation,
  DerivationInput,
  DerivationOutput,
} from "../../derivation/derivation.ts";
import {
  createInputHashes,
  derivationTextPath,
  fillOutputPaths,
  fixedOutputPath,
} from "../../derivation/hash-modulo.ts";
import { outputPlaceholder } from "../../derivation/placeholders.ts";
import { printDerivation } from "../../derivation/print.ts";
import { sortedMap, sortedSet } from "../../derivation/sorted.ts";
import { type ByteString, byteStringOf } from "../../formats/byte-string.ts";
import { isHashAlgorithm, parseHash, parseHashAlgorithm, printHash } from "../../formats/hash.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { type AttributeValue, badAttribute, coerceToJson, coerceToString, describe } from "./coerce.ts";
import { type ContextElement, contextOf } from "./context.ts";
import { type MadeDerivation, madeDerivations } from "./made.ts";

export type Attributes = Readonly<Record<string, AttributeValue>>;

const NAME = /^[0-9a-zA-Z+\-._?=]{1,211}$/;
const NO_DYNAMIC: ReadonlyMap<string, DerivationInput> = new Map();

const inputHashes = createInputHashes((drvPath) => {
  const made = madeDerivations.get(drvPath);
  if (made === undefined)
    throw new EngineError("internal", "DRV_NOT_MADE", `derivation '${drvPath}' was not made here`);
  return made.derivation;
});

/**
 * Makes and remembers a derivation.
 * @throws EngineError `BUILD_FILE_BAD_ATTRIBUTE`, naming the derivation and the attribute
 */
export function derive(attributes: Attributes): MadeDerivation {
  const collected = collect(attributes);
  const { name, env, context } = collected;
  const outputs = declareOutputs(collected);
  const { inputDrvs, inputSrcs } = dependencies(context);
  const unfilled: Derivation = {
    name,
    outputs: sortedMap(outputs.map),
    inputDrvs: sortedMap(inputDrvs),
    inputSrcs: sortedSet(inputSrcs),
    platform: collected.system,
    builder: byteStringOf(collected.builder),
    args: collected.args.map(byteStringOf),
    env: sortedMap(new Map([...env, ...outputs.env])),
  };
  const derivation = outputs.isInputAddressed ? fillOutputPaths(unfilled, inputHashes) : unfilled;
  const text = printDerivation(derivation);
  const made: MadeDerivation = { drvPath: derivationTextPath(derivation, text), derivation, text };
  madeDerivations.set(made.drvPath, made);
  return made;
}

interface Collected {
  readonly name: string;
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: Map<ByteString, ByteString>;
  readonly context: Set<ContextElement>;
  readonly outputNames: readonly string[];
  readonly fixed: { readonly hash: string; readonly algorithm: string; readonly mode: string };
  readonly addressing: "input" | "fixed" | "floating" | "impure";
}

function collect(attributes: Attributes): Collected {
  const name = attributes.name;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw badAttribute("derivation: name", "a name of letters, digits and +-._?= (at most 211)", describe(name));
  }
  const at = (attribute: string): string => `derivation '${name}': ${attribute}`;
  const structured = attributes.__structuredAttrs === true;
  const context = new Set<ContextElement>();
  const env = new Map<ByteString, ByteString>();
  const strings = new Map<string, string>();
  const json: [string, string][] = [];
  let args: string[] = [];
  let outputNames: string[] = ["out"];

  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === undefined || attribute === "__ignoreNulls") continue;
    if (value === null && attributes.__ignoreNulls === true) continue;
    if (attribute === "__structuredAttrs" && structured) continue;
    if ((attribute === "__contentAddressed" || attribute === "__impure") && value === true) {
      // The outputs already state it; Nix keeps it in the environment, too.
      if (structured) json.push([attribute, "true"]);
      else env.set(byteStringOf(attribute), byteStringOf("1"));
      continue;
    }
    if (attribute === "args") {
      if (!Array.isArray(value)) throw badAttribute(at("args"), "a list", describe(value));
      args = value.map((element: AttributeValue, index) =>
        note(coerceToString(element, at(`args[${index}]`)), context),
      );
      continue;
    }
    if (structured) {
      json.push([attribute, note(coerceToJson(value, at(attribute)), context)]);
      if (attribute === "outputs") outputNames = stringList(value, at("outputs"));
      else if (isSpecial(attribute)) strings.set(attribute, coerceToString(value, at(attribute)));
      continue;
    }
    const text = note(coerceToString(value, at(attribute)), context);
    env.set(byteStringOf(attribute), byteStringOf(text));
    strings.set(attribute, text);
    if (attribute === "outputs") outputNames = text.split(/[ \t\n\r]+/).filter(Boolean);
  }
  if (structured) {
    json.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const members = json.map(([key, value]) => `${JSON.stringify(key)}:${value}`);
    env.set(byteStringOf("__json"), byteStringOf(`{${members.join(",")}}`));
  }
  checkOutputs(outputNames, at("outputs"));
  const system = strings.get("system") ?? "";
  const builder = strings.get("builder") ?? "";
  if (system === "") throw badAttribute(at("system"), "a system such as 'x86_64-linux'", "none");
  if (builder === "") throw badAttribute(at("builder"), "the program that builds", "none");
  const hash = strings.get("outputHash");
  const fixed = {
    hash: hash ?? "",
    algorithm: strings.get("outputHashAlgo") ?? "",
    mode: strings.get("outputHashMode") ?? "flat",
  };
  const addressing =
    hash !== undefined
      ? "fixed"
      : attributes.__contentAddressed === true
        ? "floating"
        : attributes.__impure === true
          ? "impure"
          : "input";
  return { name, system, builder, args, env, context, outputNames, fixed, addressing };
}

function declareOutputs(collected: Collected): {
  readonly map: Map<string, DerivationOutput>;
  readonly env: Map<ByteString, ByteString>;
  readonly isInputAddressed: boolean;
} {
  const { name, outputNames, fixed, addressing } = collected;
  const map = new Map<string, DerivationOutput>();
  const env = new Map<ByteString, ByteString>();
  const at = (attribute: string): string => `derivation '${name}': ${attribute}`;
  switch (addressing) {
    case "fixed": {
      if (outputNames.length !== 1 || outputNames[0] !== "out") {
        throw badAttribute(at("outputs"), "the one output 'out' beside outputHash", outputNames.join(", "));
      }
      const output = fixedOutput(name, fixed, at);
      map.set("out", output);
      env.set(byteStringOf("out"), byteStringOf(output.path));
      return { map, env, isInputAddressed: false };
    }
    case "floating":
    case "impure": {
      const method = methodOf(collected.fixed.mode === "flat" ? "recursive" : collected.fixed.mode, at);
      const algorithm = parseHashAlgorithm(fixed.algorithm === "" ? "sha256" : fixed.algorithm);
      for (const output of outputNames) {
        map.set(output, { type: addressing, method, algorithm });
        env.set(byteStringOf(output), outputPlaceholder(output));
      }
      return { map, env, isInputAddressed: false };
    }
    case "input":
      for (const output of outputNames) {
        map.set(output, { type: "deferred" });
        env.set(byteStringOf(output), byteStringOf(""));
      }
      return { map, env, isInputAddressed: true };
  }
}

function fixedOutput(
  name: string,
  fixed: Collected["fixed"],
  at: (attribute: string) => string,
): Extract<DerivationOutput, { type: "fixed" }> {
  const algorithm = fixed.algorithm === "" ? null : fixed.algorithm;
  if (algorithm !== null && !isHashAlgorithm(algorithm)) {
    throw badAttribute(at("outputHashAlgo"), "md5, sha1, sha256 or sha512", JSON.stringify(algorithm));
  }
  // An empty hash means "not known yet": the build fails and reports the right one.
  const parsed = parseHash(fixed.hash === "" ? "0".repeat(64) : fixed.hash, fixed.hash === "" ? "sha256" : algorithm);
  const method = methodOf(fixed.mode, at);
  const hash = printHash(parsed, "hex", false);
  const draft = { type: "fixed", method, algorithm: parsed.algorithm, hash, path: "" as StorePath } as const;
  return { ...draft, path: fixedOutputPath(name, "out", draft) };
}

function methodOf(mode: string, at: (attribute: string) => string): ContentAddressMethod {
  switch (mode) {
    case "flat":
    case "text":
    case "git":
      return mode;
    case "recursive":
    case "nar":
      return "nar";
    default:
      throw badAttribute(at("outputHashMode"), "'flat', 'recursive', 'text' or 'git'", JSON.stringify(mode));
  }
}

/** Input derivations and sources of all that the attributes mention. */
function dependencies(context: ReadonlySet<ContextElement>): {
  readonly inputDrvs: Map<StorePath, DerivationInput>;
  readonly inputSrcs: Set<StorePath>;
} {
  const outputs = new Map<StorePath, Set<string>>();
  const inputSrcs = new Set<StorePath>();
  const use = (drvPath: StorePath, names: Iterable<string>): void => {
    const known = outputs.get(drvPath) ?? new Set<string>();
    for (const name of names) known.add(name);
    outputs.set(drvPath, known);
  };
  const addClosure = (drvPath: StorePath): void => {
    const derivation = madeDerivations.get(drvPath)!.derivation;
    use(drvPath, derivation.outputs.keys());
    for (const source of derivation.inputSrcs) inputSrcs.add(source);
    for (const input of derivation.inputDrvs.keys()) addClosure(input);
  };
  for (const element of context) {
    switch (element.type) {
      case "source":
        inputSrcs.add(element.path);
        break;
      case "output":
        use(element.drvPath, [element.output]);
        break;
      case "derivation":
        addClosure(element.drvPath);
        inputSrcs.add(element.drvPath);
        break;
    }
  }
  const inputDrvs = new Map<StorePath, DerivationInput>();
  for (const [drvPath, names] of outputs) inputDrvs.set(drvPath, { outputs: sortedSet(names), dynamic: NO_DYNAMIC });
  return { inputDrvs, inputSrcs };
}

function note(text: string, context: Set<ContextElement>): string {
  for (const element of contextOf(text)) context.add(element);
  return text;
}

function isSpecial(attribute: string): boolean {
  return ["system", "builder", "outputHash", "outputHashAlgo", "outputHashMode"].includes(attribute);
}

function stringList(value: AttributeValue, where: string): string[] {
  if (!Array.isArray(value)) throw badAttribute(where, "a list of output names", describe(value));
  return value.map((element: AttributeValue, index) => coerceToString(element, `${where}[${index}]`));
}

function checkOutputs(names: readonly string[], where: string): void {
  if (names.length === 0) throw badAttribute(where, "at least one output", "none");
  if (new Set(names).size !== names.length) throw badAttribute(where, "different output names", names.join(", "));
  for (const name of names) {
    if (!NAME.test(name) || name === "drv" || name === "drvPath")
      throw badAttribute(where, "output names of letters, digits and +-._?=", `'${name}'`);
  }
}
