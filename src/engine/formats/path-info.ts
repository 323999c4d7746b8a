// What a store knows about a valid path; the value that both protocols, narinfo files and the database carry.
import type { StorePath } from "./store-path.ts";

/** Information about a valid store path (Nix: `ValidPathInfo`). */
export interface PathInfo {
  readonly path: StorePath;
  readonly deriver: StorePath | null;
  /** SHA-256 of the NAR, 32 bytes. */
  readonly narHash: Uint8Array;
  /** Size of the NAR in bytes. */
  readonly narSize: bigint;
  /** Sorted; includes the path itself if it refers to itself. */
  readonly references: readonly StorePath[];
  /** Seconds since 1970, 0 when unknown. */
  readonly registrationTime: bigint;
  /** Built here, so trusted without a signature. */
  readonly ultimate: boolean;
  /** `keyname:base64`. */
  readonly signatures: readonly string[];
  /** `text:sha256:<nix32>`, `fixed:[r:]<algo>:<nix32>`, or null for input-addressed paths. */
  readonly contentAddress: string | null;
}
