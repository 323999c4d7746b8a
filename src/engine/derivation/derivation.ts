// The derivation as a value: the contents of a `.drv` file, nothing more.
import type { ByteString } from "../formats/byte-string.ts";
import type { ContentAddressMethod } from "../formats/content-address.ts";
import type { HashAlgorithm } from "../formats/hash.ts";
import type { StorePath } from "../formats/store-path.ts";

export type { ContentAddressMethod, HashAlgorithm };

/** One output of a derivation (Nix manual, store derivations; derivation ATerm format). */
export type DerivationOutput =
  | { readonly type: "inputAddressed"; readonly path: StorePath }
  | {
      readonly type: "fixed";
      readonly method: ContentAddressMethod;
      readonly algorithm: HashAlgorithm;
      /** Lower-case hexadecimal, as in the file. */
      readonly hash: string;
      readonly path: StorePath;
    }
  | { readonly type: "floating"; readonly method: ContentAddressMethod; readonly algorithm: HashAlgorithm }
  | { readonly type: "deferred" }
  | { readonly type: "impure"; readonly method: ContentAddressMethod; readonly algorithm: HashAlgorithm };

/** Which outputs of an input derivation are used; `dynamic` nests for outputs that are themselves derivations. */
export interface DerivationInput {
  readonly outputs: ReadonlySet<string>;
  readonly dynamic: ReadonlyMap<string, DerivationInput>;
}

/** A derivation. Maps and sets iterate in the file's order, which is sorted bytewise. */
export interface Derivation {
  /** Name without `.drv`; from the file's path, not in the file. */
  readonly name: string;
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  readonly inputDrvs: ReadonlyMap<StorePath, DerivationInput>;
  readonly inputSrcs: ReadonlySet<StorePath>;
  readonly platform: string;
  readonly builder: ByteString;
  readonly args: readonly ByteString[];
  readonly env: ReadonlyMap<ByteString, ByteString>;
}

/**
 * What a builder receives: a derivation whose inputs are all plain store paths (Nix: `BasicDerivation`).
 * `inputSrcs` holds the sources and the used outputs of the input derivations.
 */
export type BasicDerivation = Omit<Derivation, "inputDrvs">;
