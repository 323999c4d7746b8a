// The paths of the outputs of a store's derivations: stated by the derivation, or recorded once their contents were known.

import { EngineError } from "../../base/errors.ts";
import type { BasicDerivation, Derivation } from "../../derivation/derivation.ts";
import {
  createInputHashes,
  type HashModulo,
  hashDerivationModulo,
  type InputHashes,
  realisationId,
  statedOutputPaths,
} from "../../derivation/hash-modulo.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import { readDerivation } from "../embedded/files/derivation-files.ts";

/** Reads and records outputs of one open store. */
export class ServedRealisations {
  readonly #store: EmbeddedStore;
  readonly #inputHashes: InputHashes;

  constructor(store: EmbeddedStore) {
    this.#store = store;
    this.#inputHashes = createInputHashes((drvPath) => readDerivation(store.layout, drvPath));
  }

  /** A valid derivation of the store. Throws `STORE_DERIVATION_UNREADABLE`. */
  read(drvPath: StorePath): Derivation {
    return readDerivation(this.#store.layout, drvPath);
  }

  /** Output name → path, null while nothing is recorded. */
  outputsOf(drvPath: StorePath): Promise<Map<string, StorePath | null>> {
    const derivation = this.read(drvPath);
    return this.known(derivation, () => this.modulo(derivation));
  }

  /** The same for a given derivation; `modulo` is only called when the derivation does not state an output's path. */
  async known(
    derivation: Pick<BasicDerivation, "outputs">,
    modulo: () => HashModulo,
  ): Promise<Map<string, StorePath | null>> {
    const paths = statedOutputPaths(derivation);
    for (const [name, path] of paths) {
      if (path === null) paths.set(name, await this.#store.queryRealisation(realisationId(modulo(), name)));
    }
    return paths;
  }

  /** The masked hash of a derivation, which identifies its realisations. */
  modulo(derivation: Derivation): HashModulo {
    return hashDerivationModulo(derivation, this.#inputHashes, true);
  }

  /** The same for a resolved derivation. */
  moduloOfResolved(derivation: BasicDerivation): HashModulo {
    return this.modulo({ ...derivation, inputDrvs: new Map() });
  }

  /** Records the path of an output; an earlier record stays, as in Nix. */
  async record(modulo: HashModulo, name: string, path: StorePath): Promise<void> {
    try {
      await this.#store.registerRealisation(realisationId(modulo, name), path);
    } catch (error) {
      if (!(error instanceof EngineError && error.code === "REALISATION_CONFLICT")) throw error;
    }
  }
}
