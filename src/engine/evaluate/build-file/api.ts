// What a build file imports from "tsbuild-top": derivations, commands and sources as values.
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { downstreamPlaceholder, outputPlaceholder } from "../../derivation/placeholders.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { type AttributeValue, badAttribute, describe, type StoreObject, storeObject } from "./coerce.ts";
import { remember } from "./context.ts";
import { type Attributes, derive } from "./derive.ts";
import { buildFileDirectory } from "./place.ts";
import { addSource, addTree, hostTree, type SourceFilter } from "./sources.ts";

export type { AttributeValue, StoreObject } from "./coerce.ts";
export type { SourceFilter } from "./sources.ts";

/** One output of a derivation. In a text it stands for its store path, which makes the derivation using the text depend on it. */
export interface Output extends StoreObject {
  readonly outputName: string;
  /** Path of the `.drv` file that has this output. */
  readonly drvPath: string;
  /** The store path, or a placeholder if it depends on the contents. */
  readonly outPath: string;
}

/** A derivation. In a text it stands for its first output. Each output is also a property: `dep.dev`. */
export interface DerivationValue extends StoreObject {
  readonly name: string;
  readonly system: string;
  readonly outputNames: readonly string[];
  /** Name of the first output. */
  readonly outputName: string;
  /** Path of the first output. */
  readonly outPath: string;
  /** Path of the `.drv` file. In a text it makes everything the derivation needs a dependency. */
  readonly drvPath: string;
  /** An output by name; throws for a name the derivation does not have. */
  output(name: string): Output;
}

/** The outputs as properties. */
export type WithOutputs<Names extends string> = DerivationValue & { readonly [Name in Names]: Output };

/** Attributes of {@link derivation}: those that Nix knows are typed, all others become environment variables of the builder. */
export interface DerivationAttributes<Names extends string> {
  readonly name: string;
  /** The program that builds: a path in the store, or `/bin/sh`, which every sandbox has. */
  readonly builder: string | StoreObject;
  /** `x86_64-linux`, …; by default this machine's system. */
  readonly system?: string;
  readonly args?: readonly AttributeValue[];
  /** Names of the outputs; the derivation stands for the first. Default: `out`. */
  readonly outputs?: readonly Names[];
  /** Features a machine must have: `kvm`, `big-parallel`, … */
  readonly requiredSystemFeatures?: readonly string[];
  readonly preferLocalBuild?: boolean;
  readonly allowSubstitutes?: boolean;
  /** Makes it a fixed-output derivation: the required hash of the result, in any of Nix's notations. It may use the network. */
  readonly outputHash?: string;
  readonly outputHashAlgo?: "md5" | "sha1" | "sha256" | "sha512";
  /** `flat` (a file, the default) or `recursive` (a tree). */
  readonly outputHashMode?: "flat" | "recursive" | "nar" | "text" | "git";
  readonly [attribute: string]: AttributeValue;
}

/** This machine's system, in Nix's words. */
export const currentSystem: string = `${process.arch === "arm64" ? "aarch64" : process.arch === "ia32" ? "i686" : "x86_64"}-${process.platform}`;

/**
 * A derivation, byte for byte the same as Nix's `derivation` makes from the same attributes.
 * @throws an error naming the attribute that is wrong
 */
export function derivation<const Names extends string = "out">(
  attributes: DerivationAttributes<Names>,
): WithOutputs<string extends Names ? "out" : Names> {
  const made = derive({ ...attributes, system: attributes.system ?? currentSystem } as Attributes);
  const { drvPath, derivation: derived } = made;
  // The author's order, not the sorted one: the derivation stands for the first output.
  const outputNames = attributes.outputs === undefined ? ["out"] : [...attributes.outputs];
  remember(drvPath, { type: "derivation", drvPath });
  const outputs = new Map<string, Output>();
  for (const [outputName, output] of derived.outputs) {
    const outPath: string = "path" in output ? output.path : downstreamPlaceholder(drvPath, outputName);
    remember(outPath, { type: "output", drvPath, output: outputName });
    outputs.set(outputName, { [storeObject]: true, outputName, drvPath, outPath, toString: () => outPath });
  }
  const output = (name: string): Output => {
    const found = outputs.get(name);
    if (found === undefined) {
      throw badAttribute(`derivation '${derived.name}'`, `one of its outputs (${outputNames.join(", ")})`, `'${name}'`);
    }
    return found;
  };
  const first = output(outputNames[0] ?? "out");
  const value: DerivationValue = {
    [storeObject]: true,
    name: derived.name,
    system: derived.platform,
    outputNames,
    outputName: first.outputName,
    outPath: first.outPath,
    drvPath,
    output,
    toString: () => first.outPath,
  };
  return Object.assign(value, Object.fromEntries(outputs)) as WithOutputs<string extends Names ? "out" : Names>;
}

/** The placeholder for a builder's own output in its attributes, like Nix's `placeholder`. */
export function placeholder(outputName: string): string {
  return outputPlaceholder(outputName);
}

/** Options of {@link runCommand}. */
export interface RunCommandOptions<Names extends string> {
  /** Packages with a `bin` directory, put on PATH: derivations, sources, {@link hostTools}, {@link busybox}. */
  readonly tools?: readonly StoreObject[];
  /**
   * Directories of the building machine that the command may see, such as `/usr/bin`; those named `bin` are put on PATH. Their contents are not in
   * the derivation, so the result depends on the machine: prefer {@link tools}.
   */
  readonly hostPaths?: readonly string[];
  /** More environment variables. */
  readonly env?: Readonly<Record<string, AttributeValue>>;
  readonly outputs?: readonly Names[];
  readonly system?: string;
  readonly requiredSystemFeatures?: readonly string[];
  readonly preferLocalBuild?: boolean;
}

/**
 * A derivation that runs a shell script, which must make `$out` (and every other output). The shell is the sandbox's `/bin/sh`; there are no
 * programs except those of `tools` and `hostPaths`.
 */
export function runCommand<const Names extends string = "out">(
  name: string,
  options: RunCommandOptions<Names>,
  script: string,
): WithOutputs<string extends Names ? "out" : Names> {
  const { tools = [], hostPaths = [], env = {}, outputs, system, requiredSystemFeatures, preferLocalBuild } = options;
  for (const path of hostPaths) {
    if (!isAbsolute(path))
      throw badAttribute(`runCommand '${name}': hostPaths`, "absolute paths", JSON.stringify(path));
  }
  const search = [...tools.map((tool) => `${tool}/bin`), ...hostPaths.filter((path) => /\/s?bin\/?$/.test(path))];
  return derivation<Names>({
    ...env,
    name,
    builder: "/bin/sh",
    args: ["-ec", '. "$buildCommandPath"'],
    buildCommand: script,
    passAsFile: ["buildCommand"],
    ...(search.length > 0 ? { PATH: search.join(":") } : {}),
    ...(hostPaths.length > 0 ? { __impureHostDeps: [...hostPaths] } : {}),
    ...(outputs === undefined ? {} : { outputs }),
    ...(system === undefined ? {} : { system }),
    ...(requiredSystemFeatures === undefined ? {} : { requiredSystemFeatures }),
    ...(preferLocalBuild === undefined ? {} : { preferLocalBuild }),
  });
}

/** Options of {@link source}. */
export interface SourceOptions {
  /** Name in the store; by default the file's name. */
  readonly name?: string;
  /** Which files to include; by default all. */
  readonly filter?: SourceFilter;
}

/**
 * A file or directory as an input, hashed as Nix hashes it. Relative paths start at the build file's directory.
 * @param path a path, or a URL such as `new URL("./src", import.meta.url)`
 */
export function source(path: string | URL, options: SourceOptions = {}): StoreObject {
  if (typeof path !== "string" && !(path instanceof URL))
    throw badAttribute("source", "a path or a file: URL", describe(path));
  const file = path instanceof URL ? fileURLToPath(path) : isAbsolute(path) ? path : `${buildFileDirectory()}/${path}`;
  return asSource(addSource(file, options.name ?? null, options.filter ?? null));
}

/** A text file as an input. */
export function textFile(name: string, text: string): StoreObject {
  return asSource(addTree(name, { type: "file", executable: false, contents: Buffer.from(text) }));
}

/** Programs of this machine as a hashed input: `hostTools({ jq: "/usr/bin/jq" })` has `bin/jq`. Only statically linked ones run in a sandbox. */
export function hostTools(programs: Readonly<Record<string, string>>, name = "host-tools"): StoreObject {
  return asSource(addTree(name, hostTree(new Map(Object.entries(programs)), new Map())));
}

/** A statically linked busybox of this machine as a hashed input, with a link for each of the given applets (default: the usual ones). */
export function busybox(program = "/bin/busybox", applets: readonly string[] = BUSYBOX_APPLETS): StoreObject {
  const links = new Map(applets.map((applet) => [applet, "busybox"]));
  return asSource(addTree("busybox", hostTree(new Map([["busybox", program]]), links)));
}

const BUSYBOX_APPLETS: readonly string[] =
  "sh ash cat cp mv rm ln mkdir rmdir ls touch chmod echo printf test true false sleep sed awk grep egrep cut sort uniq head tail tr wc tee find xargs env date id hostname uname basename dirname readlink realpath seq expr md5sum sha1sum sha256sum sha512sum tar gzip gunzip zcat bzip2 bunzip2 xz unxz unzip diff cmp od hexdump base64 stat du df dd mktemp install which yes".split(
    " ",
  );

function asSource(path: StorePath): StoreObject {
  remember(path, { type: "source", path });
  return { [storeObject]: true, toString: () => path };
}
