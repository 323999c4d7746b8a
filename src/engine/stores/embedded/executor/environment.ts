// The environment of a builder and the files beside it (Nix: `initEnv`, `initTmpDir`, `writeStructuredAttrs`); all pure.
import type { BasicDerivation } from "../../../derivation/derivation.ts";
import type { DerivationOptions } from "../../../derivation/options.ts";
import { type ByteString, byteStringOf } from "../../../formats/byte-string.ts";
import { hashBytes, printHash } from "../../../formats/hash.ts";
import { STORE_DIR } from "../../../formats/store-path.ts";
import { type Rewrites, rewriteText } from "./outputs/rewrite.ts";
import { attributesWith, printAttributes, printShellAttributes } from "./structured-attributes.ts";

/** The builder's working directory (`sandbox-build-dir`). */
export const BUILD_DIR = "/build";

/** What the environment follows from. */
export interface EnvironmentSource {
  readonly derivation: BasicDerivation;
  readonly options: DerivationOptions;
  /** `NIX_BUILD_CORES`, at least 1. */
  readonly cores: number;
  /** Whether the hash of the output is known beforehand, and whether the builder may use the network (fixed and impure ones may). */
  readonly fixed: boolean;
  readonly impure: boolean;
  /** The values of `impureEnvVars`. */
  readonly hostEnvironment: Readonly<Record<string, string | undefined>>;
  /** Output name → path for the builder to write to. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Structured attributes: attribute → JSON of the exported references. */
  readonly graphs: ReadonlyMap<string, string>;
  readonly rewrites: Rewrites;
}

/** Variables, and files in the build directory by name. */
export interface BuilderEnvironment {
  readonly variables: ReadonlyMap<ByteString, ByteString>;
  readonly files: ReadonlyMap<string, ByteString>;
}

/** Makes a builder's environment. Throws SyntaxError when `__json` is not JSON. */
export function makeEnvironment(source: EnvironmentSource): BuilderEnvironment {
  const { derivation, options } = source;
  const variables = new Map<ByteString, ByteString>();
  const files = new Map<string, ByteString>();
  const set = (name: string, value: string): void => void variables.set(byteStringOf(name), byteStringOf(value));

  // The derivation may override these.
  set("PATH", "/path-not-set");
  set("HOME", "/homeless-shelter");
  set("NIX_STORE", STORE_DIR);
  set("NIX_BUILD_CORES", String(source.cores));

  if (options.structuredAttrs === null) {
    const inFiles = new Set(options.passAsFile.map(byteStringOf));
    for (const [name, value] of derivation.env) {
      if (!inFiles.has(name)) {
        variables.set(name, value);
        continue;
      }
      const digest = hashBytes("sha256", Buffer.from(name, "latin1"));
      const file = `.attr-${printHash(digest, "nix32", false)}`;
      files.set(file, rewriteText(value, source.rewrites));
      variables.set(`${name}Path` as ByteString, byteStringOf(`${BUILD_DIR}/${file}`));
    }
  }

  // The derivation may not override these.
  for (const name of ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"]) set(name, BUILD_DIR);
  if (source.fixed) set("NIX_OUTPUT_CHECKED", "1");
  if (source.fixed || source.impure) {
    for (const name of options.impureEnvVars) set(name, source.hostEnvironment[name] ?? "");
  }
  set("NIX_LOG_FD", "2");
  set("TERM", "xterm-256color");

  const json = derivation.env.get("__json" as ByteString);
  if (json !== undefined) {
    const outputs = Object.fromEntries(source.outputs);
    const attributes = attributesWith(json, new Map([...source.graphs, ["outputs", JSON.stringify(outputs)]]));
    const file = (name: string, text: string): void =>
      void files.set(name, rewriteText(byteStringOf(text), source.rewrites));
    file(".attrs.sh", printShellAttributes(attributes));
    file(".attrs.json", printAttributes(attributes));
    set("NIX_ATTRS_SH_FILE", `${BUILD_DIR}/.attrs.sh`);
    set("NIX_ATTRS_JSON_FILE", `${BUILD_DIR}/.attrs.json`);
  }

  for (const [name, value] of variables) variables.set(name, rewriteText(value, source.rewrites));
  return { variables, files };
}
