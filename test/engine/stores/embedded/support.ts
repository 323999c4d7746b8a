// What the tests of the embedded store share: small stores, paths made from trees, builds by derivation file.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { parseDerivation } from "../../../../src/engine/derivation/parse.ts";
import { needsResolving, resolveDerivation } from "../../../../src/engine/derivation/resolve.ts";
import { hashBytes } from "../../../../src/engine/formats/hash.ts";
import { makeStorePath } from "../../../../src/engine/formats/make-store-path.ts";
import type { NarTree } from "../../../../src/engine/formats/nar/tree.ts";
import type { PathInfo } from "../../../../src/engine/formats/path-info.ts";
import { derivationNameOf, parseStorePath, type StorePath } from "../../../../src/engine/formats/store-path.ts";
import { type EmbeddedStore, openEmbeddedStore } from "../../../../src/engine/stores/embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS, type EmbeddedSettings } from "../../../../src/engine/stores/embedded/settings.ts";
import type { Substituter } from "../../../../src/engine/stores/embedded/substitute.ts";
import type {
  BuildAnswer,
  BuildMode,
  BuildOptions,
  BuildReporter,
  IncomingPath,
} from "../../../../src/engine/stores/store.ts";
import { encodeTree } from "../../../support/nar-tree.ts";

export const SYSTEM = "x86_64-linux";

export function openTestStore(
  root: string,
  settings: Partial<EmbeddedSettings> = {},
  substituters: readonly Substituter[] = [],
): Promise<EmbeddedStore> {
  return openEmbeddedStore({
    root,
    clock: systemClock,
    random: Math.random,
    settings: { ...DEFAULT_EMBEDDED_SETTINGS, system: SYSTEM, requireSignatures: false, ...settings },
    substituters,
  });
}

export interface TestPath {
  readonly info: PathInfo;
  readonly nar: Uint8Array;
}

/** A path with this tree; `self` is replaced in file contents by the path. */
export function testPath(name: string, tree: NarTree, references: readonly StorePath[] = []): TestPath {
  const nar = encodeTree(tree);
  const hash = hashBytes("sha256", nar);
  const info: PathInfo = {
    path: makeStorePath("output:out", hash, name),
    deriver: null,
    narHash: hash.digest,
    narSize: BigInt(nar.length),
    references: [...references].sort(),
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
  return { info, nar };
}

export function file(contents: string, executable = false): NarTree {
  return { type: "file", executable, contents: Buffer.from(contents) };
}

export function incoming({ info, nar }: TestPath): IncomingPath {
  return {
    info,
    isChecked: false,
    nar: async function* () {
      yield nar;
    },
  };
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

export const BUILD_OPTIONS: BuildOptions = {
  keepFailed: false,
  maxSilentTime: 0,
  timeout: 0,
  maxLogSize: 0n,
  cores: 3,
  keepCheck: false,
};

/** What was heard during a build. */
export class Heard implements BuildReporter {
  readonly lines: string[] = [];
  readonly phases: string[] = [];
  readonly notices: string[] = [];
  starts = 0;
  started(): void {
    this.starts++;
  }
  phase(name: string): void {
    this.phases.push(name);
  }
  logged(lines: readonly string[]): void {
    this.lines.push(...lines);
  }
  noticed(message: string): void {
    this.notices.push(message);
  }
}

export interface BuildWish {
  readonly mode?: BuildMode;
  readonly options?: Partial<BuildOptions>;
  readonly heard?: Heard;
  readonly signal?: AbortSignal;
}

/** Builds a derivation that lies in the store, and first (normally) what it needs. */
export async function buildDrv(store: EmbeddedStore, drvPath: StorePath, wish: BuildWish = {}): Promise<BuildAnswer> {
  const derivation = parseDerivation(readFileSync(`${store.layout.root}${drvPath}`), derivationNameOf(drvPath));
  const outputs = new Map<StorePath, ReadonlyMap<string, StorePath | null>>();
  for (const input of derivation.inputDrvs.keys()) {
    const { result } = await buildDrv(store, input, wish.signal === undefined ? {} : { signal: wish.signal });
    if (result.errorMessage !== "") throw new Error(`input ${input}: ${result.errorMessage}`);
    outputs.set(input, result.builtOutputs);
  }
  const resolution = resolveDerivation(derivation, (path, name) => outputs.get(path as StorePath)?.get(name) ?? null);
  if (resolution.type !== "resolved") throw new Error(`${drvPath} needs ${String(resolution.drvPath)}`);
  if (needsResolving(derivation) && outputs.size > 0) throw new Error(`${drvPath} must be resolved first`);
  return store.build(
    {
      drvPath,
      derivation: resolution.derivation,
      mode: wish.mode ?? "normal",
      options: { ...BUILD_OPTIONS, ...wish.options },
    },
    wish.heard ?? new Heard(),
    wish.signal ?? new AbortController().signal,
  );
}

/** The derivations of an expression, instantiated by this machine's Nix right into the store. */
export function instantiate(store: EmbeddedStore, expression: string): StorePath[] {
  const features = ["--extra-experimental-features", "ca-derivations"];
  return execFileSync("nix-instantiate", [...features, "--store", store.layout.root, "-E", expression], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  })
    .trim()
    .split("\n")
    .map((line) => parseStorePath(line.replace(/!.*$/, "")));
}

/** An expression of one derivation run by the sandbox's shell; `more` are further attributes. */
export function shellDerivation(name: string, script: string, more = ""): string {
  return `derivation { name = "${name}"; system = "${SYSTEM}"; builder = "/bin/sh"; args = [ "-c" ''${script}'' ]; ${more} }`;
}
