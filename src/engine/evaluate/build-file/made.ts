// Everything the build file has made so far: derivations and sources, by store path, to be put into the store when it has been read.
import type { Derivation } from "../../derivation/derivation.ts";
import type { StorePath } from "../../formats/store-path.ts";

/** A source: its NAR lies in a spool file. */
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

/** In the order they were made: inputs come before what needs them. */
export const madeDerivations = new Map<StorePath, MadeDerivation>();
export const madeSources = new Map<StorePath, MadeSource>();
