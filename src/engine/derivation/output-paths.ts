// Where outputs are: paths that derivations state, and those known only after a build or from a realisation.

import { EngineError } from "../base/errors.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { BasicDerivation, Derivation } from "./derivation.ts";
import {
  createInputHashes,
  derivationStorePath,
  type HashModulo,
  hashDerivationModulo,
  type InputHashes,
  realisationId,
} from "./hash-modulo.ts";
import { chainedLookup, needsResolving, resolveDerivation } from "./resolve.ts";

/** Looks up and records the paths of content-addressed outputs (the KeepingStore of a run). */
export interface RealisationStore {
  queryRealisation(outputId: string): Promise<StorePath | null>;
  registerRealisation(outputId: string, path: StorePath): Promise<void>;
}

/** A derivation as it is sent to a machine. */
export interface ReadyDerivation {
  /** The derivation's own path, or that of the resolved one. */
  readonly drvPath: StorePath;
  readonly derivation: BasicDerivation;
}

/** The outputs of a run's derivations, as far as known. */
export class Realisations {
  readonly #derivations: ReadonlyMap<StorePath, Derivation>;
  readonly #outputs = new Map<StorePath, Map<string, StorePath>>();
  readonly #hashes: InputHashes;
  readonly #masked = new Map<StorePath, HashModulo>();

  constructor(derivations: ReadonlyMap<StorePath, Derivation>) {
    this.#derivations = derivations;
    this.#hashes = createInputHashes((drvPath) => {
      const derivation = derivations.get(drvPath);
      if (derivation === undefined) throw notRead(drvPath);
      return derivation;
    });
  }

  /** Output name → path, as far as known. */
  outputsOf(drvPath: StorePath): ReadonlyMap<string, StorePath> {
    let outputs = this.#outputs.get(drvPath);
    if (outputs === undefined) {
      outputs = new Map();
      for (const [name, output] of this.#derivations.get(drvPath)?.outputs ?? []) {
        if ("path" in output) outputs.set(name, output.path);
      }
      this.#outputs.set(drvPath, outputs);
    }
    return outputs;
  }

  /** The known output paths, in the order of their names. */
  outputs(drvPath: StorePath): StorePath[] {
    return [...this.outputsOf(drvPath).values()];
  }

  /** Records the outputs of a build. */
  learn(drvPath: StorePath, outputs: ReadonlyMap<string, StorePath>): void {
    this.#outputs.set(drvPath, new Map([...this.outputsOf(drvPath), ...outputs]));
  }

  /** Asks the store for the realisations of content-addressed outputs, before any build. */
  async load(store: RealisationStore): Promise<void> {
    for (const [drvPath, derivation] of this.#derivations) {
      for (const [name, output] of derivation.outputs) {
        if (output.type !== "floating") continue;
        const path = await store.queryRealisation(this.#idOf(drvPath, derivation, name));
        if (path !== null) this.learn(drvPath, new Map([[name, path]]));
      }
    }
  }

  /** Registers the realisations of a build's content-addressed outputs, so that the next run knows them. */
  async register(drvPath: StorePath, store: RealisationStore): Promise<void> {
    const derivation = this.#derivations.get(drvPath);
    if (derivation === undefined) return;
    for (const [name, output] of derivation.outputs) {
      const path = this.outputsOf(drvPath).get(name);
      if (output.type !== "floating" || path === undefined) continue;
      await store.registerRealisation(this.#idOf(drvPath, derivation, name), path);
    }
  }

  /**
   * What a machine receives: input derivations replaced by the paths of their outputs.
   * @throws EngineError `OUTPUT_UNKNOWN` when an input has not been built yet
   */
  resolve(drvPath: StorePath, derivation: Derivation): ReadyDerivation {
    const resolution = resolveDerivation(
      derivation,
      chainedLookup((path) => this.outputsOf(path)),
    );
    if (resolution.type === "missing") {
      throw new EngineError(
        "internal",
        "OUTPUT_UNKNOWN",
        `cannot build '${drvPath}': the path of output '${resolution.outputName}' of '${JSON.stringify(resolution.drvPath)}' is not known`,
      );
    }
    if (!needsResolving(derivation)) return { drvPath, derivation: resolution.derivation };
    return {
      drvPath: derivationStorePath({ ...resolution.derivation, inputDrvs: new Map() }),
      derivation: resolution.derivation,
    };
  }

  /** `sha256:<hex>!<name>`: the output of a derivation whose own output paths are left blank (Nix: staticOutputHashes). */
  #idOf(drvPath: StorePath, derivation: Derivation, name: string): string {
    let modulo = this.#masked.get(drvPath);
    if (modulo === undefined) {
      modulo = hashDerivationModulo(derivation, this.#hashes, true);
      this.#masked.set(drvPath, modulo);
    }
    return realisationId(modulo, name);
  }
}

function notRead(drvPath: StorePath): EngineError {
  return new EngineError("internal", "DRV_NOT_READ", `derivation '${drvPath}' was not read`);
}
