// From the words of a command line to store paths: paths and links as they are, everything else evaluated; outputs of derivations by name.
import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import type { LoadedConfig } from "../config/load.ts";
import { notThere } from "../evaluate/drv-closure.ts";
import { evaluateInstallables } from "../evaluate/evaluate.ts";
import { type Installable, type InstallableWords, parseInstallables } from "../evaluate/installable.ts";
import type { EvaluationOptions } from "../evaluate/nix-options.ts";
import { storePathAt } from "../evaluate/resolve-place.ts";
import { STORE_DIR, type StorePath } from "../formats/store-path.ts";
import { type AnyStore, openAnyStore } from "../stores/open/open-any-store.ts";
import type { DerivedPath } from "../stores/store.ts";

/** What there is to resolve, and with what. */
export interface ResolveRequest {
  readonly installables: InstallableWords;
  readonly evaluation: Omit<EvaluationOptions, "store" | "settingsOverrides">;
  readonly settingsOverrides: ReadonlyMap<string, string>;
}

/** Resolves words, opening the store of the settings only when something must be evaluated or a derivation looked into. */
export class Resolver {
  readonly #config: LoadedConfig;
  readonly #surroundings: Surroundings;
  readonly #clock: Clock;
  readonly #notice: (message: string) => void;
  #local: Promise<AnyStore> | null = null;
  readonly #roots = new Set<string>();

  constructor(config: LoadedConfig, surroundings: Surroundings, clock: Clock, notice: (message: string) => void) {
    this.#config = config;
    this.#surroundings = surroundings;
    this.#clock = clock;
    this.#notice = notice;
  }

  /** The store of the settings; one that is to be written to is made where there is none. */
  local(directory: "made" | "demanded" = "demanded"): Promise<AnyStore> {
    this.#local ??= openAnyStore(
      this.#config.settings.store,
      this.#config,
      this.#surroundings,
      this.#clock,
      this.#notice,
      directory,
    );
    return this.#local;
  }

  /** Directories of stores with a root of their own that links among the words led into. */
  get rootsLinked(): readonly string[] {
    return [...this.#roots];
  }

  async close(): Promise<void> {
    await (await this.#local?.catch(() => null))?.close();
  }

  /** What the words mean, derivations not yet replaced by their outputs. @throws EngineError of family `usage`, `config` or `store` */
  async targets(request: ResolveRequest, signal: AbortSignal | null): Promise<DerivedPath[]> {
    const { cwd, environment } = this.#surroundings;
    const written = parseInstallables(request.installables);
    const installables = await Promise.all(written.map((installable) => this.#followLink(installable)));
    const evaluates = installables.some(({ type }) => type !== "derivation" && type !== "storePath");
    const local = evaluates ? await this.local() : null;
    return evaluateInstallables({
      installables,
      options: { ...request.evaluation, settingsOverrides: request.settingsOverrides, store: local?.nixStore ?? null },
      context: { cwd, environment, onMessage: this.#notice, signal },
      evaluateBuildFile: async (file, attributes) => {
        const opened = await this.local();
        if (opened.type === "cache" || opened.type === "machine") throw notHere(this.#config.settings.store);
        const { arguments: given } = request.evaluation;
        const { runBuildFile } = await import("../evaluate/build-file/run-build-file.ts");
        return runBuildFile({
          file,
          attributes,
          cwd,
          environment,
          signal,
          arguments: given,
          store: opened.store,
          onMessage: this.#notice,
        });
      },
      root: null,
    });
  }

  /** The store paths of the words; of derivations the outputs, which need not be valid. */
  async paths(request: ResolveRequest, signal: AbortSignal | null): Promise<StorePath[]> {
    const paths: StorePath[] = [];
    for (const target of await this.targets(request, signal)) {
      if (target.type === "opaque") paths.push(target.path);
      else paths.push(...(await this.#outputs(target)));
    }
    return [...new Set(paths)];
  }

  async #outputs({ drvPath, outputs }: Extract<DerivedPath, { type: "built" }>): Promise<StorePath[]> {
    const local = await this.local();
    if (local.type === "cache" || local.type === "machine") throw notHere(this.#config.settings.store);
    if (!(await local.store.queryValidPaths([drvPath])).has(drvPath))
      throw notThere(drvPath, ` is not in '${local.store.uri}'`);
    const known = await local.store.queryDerivationOutputs(drvPath);
    return (outputs === "all" ? [...known.keys()] : outputs).map((name) => {
      const path = known.get(name);
      if (path) return path;
      const why =
        path === undefined
          ? `has no output '${name}'`
          : `has not been built, so the path of its output '${name}' is not known`;
      throw new EngineError("store", "OUTPUT_UNKNOWN", `derivation '${drvPath}' ${why}`, {
        hint:
          path === undefined
            ? `it has: ${[...known.keys()].join(", ")}`
            : `build it first: tsbuild-top '${drvPath}^${name}'`,
      });
    });
  }

  /** A link such as `./result`, also into a store with a root of its own, is the path it leads to. */
  async #followLink(installable: Installable): Promise<Installable> {
    if (installable.type !== "place" || installable.attributes.length > 0) return installable;
    const place = resolve(this.#surroundings.cwd, installable.path);
    const path = await storePathAt(place);
    if (path === null) return installable;
    const target = await realpath(place).catch(() => "");
    const inRoot = target.indexOf(`${STORE_DIR}/`);
    if (inRoot > 0) this.#roots.add(target.slice(0, inRoot));
    return { type: "storePath", path };
  }
}

/**
 * The words of `realise`, links followed: store paths, and derivations with the outputs chosen of them. Nothing is evaluated.
 * @throws EngineError `REALISE_NOT_IN_STORE` in Nix's words
 */
export function storeWords(words: readonly string[], cwd: string): Promise<string[]> {
  return Promise.all(
    words.map(async (word) => {
      const [, path = word, outputs] = /^(.*?)(?:[!^]([^/]*))?$/s.exec(word) ?? [];
      const stored = path.startsWith(`${STORE_DIR}/`) ? path : await storePathAt(resolve(cwd, path));
      if (stored !== null) return outputs === undefined ? stored : `${stored}!${outputs}`;
      throw new EngineError("usage", "REALISE_NOT_IN_STORE", `path '${resolve(cwd, word)}' is not in the Nix store`, {
        hint: "name a store path, a '.drv' or a link to one; files and expressions are built by: tsbuild-top build",
      });
    }),
  );
}

/** The request for words that are paths or links only. */
export function onlyPaths(words: readonly string[], settingsOverrides: ReadonlyMap<string, string>): ResolveRequest {
  return {
    installables: { words, file: null, expression: null, attributes: [] },
    evaluation: { arguments: [], lookupPath: [], showTrace: false, flakeFlags: [] },
    settingsOverrides,
  };
}

function notHere(store: string): EngineError {
  return new EngineError(
    "config",
    "STORE_NOT_A_DESTINATION",
    `store '${store}': expected a store on this machine to evaluate with`,
    {
      hint: "give the other store with --from or --to, and store paths to copy",
    },
  );
}
