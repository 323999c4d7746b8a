// Everything the build file has made so far: derivations and sources, by store path, for the store once the file has run.
import type { Derivation } from "../../derivation/derivation.ts";
import type { StorePath } from "../../formats/store-path.ts";

/** A source; its NAR is in a spool file. */
export interface MadeSource {
  readonly path: StorePath;
  /** Lower-case hexadecimal SHA-256 of the NAR. */
  readonly narHash: string;
  readonly narSize: number;
  readonly spoolFile: string;
}

/** A derivation and the text of its `.drv` file. */
export interface MadeDerivation {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  readonly text: Uint8Array;
}

/** In the order they were made: inputs before dependents. */
export const madeDerivations = new Map<StorePath, MadeDerivation>();
export const madeSources = new Map<StorePath, MadeSource>();
