// Whom this store trusts, and what it signs itself.
import { EngineError } from "../../base/errors.ts";
import { isContentAddressed } from "../../formats/content-address.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import {
  type PublicKey,
  parseSecretKey,
  publicKeyMap,
  publicKeyOf,
  type SecretKey,
  signPath,
  validSignatures,
} from "../../formats/signature.ts";

/** The keys of one store. */
export class Trust {
  readonly #required: boolean;
  readonly #secretKeys: readonly SecretKey[];
  readonly #publicKeys: Map<string, PublicKey>;

  /** Reads key texts. Signatures by the secret keys are trusted, too, as in Nix. Throws `KEY_MALFORMED`. */
  constructor(settings: {
    readonly requireSignatures: boolean;
    readonly trustedPublicKeys: readonly string[];
    readonly secretKeys: readonly string[];
  }) {
    this.#required = settings.requireSignatures;
    this.#secretKeys = settings.secretKeys.map(parseSecretKey);
    this.#publicKeys = publicKeyMap(settings.trustedPublicKeys);
    for (const key of this.#secretKeys) {
      if (!this.#publicKeys.has(key.name)) this.#publicKeys.set(key.name, publicKeyOf(key));
    }
  }

  /** Whether a path from elsewhere is accepted: content-addressed, signed by a trusted key, or signatures are not required. */
  isTrusted(info: PathInfo): boolean {
    if (!this.#required) return true;
    if (isContentAddressed(info.path, info.contentAddress, info.references)) return true;
    return validSignatures(info, this.#publicKeys).size > 0;
  }

  /** Throws `STORE_UNTRUSTED_PATH` unless {@link Trust.isTrusted}. */
  demand(info: PathInfo): void {
    if (this.isTrusted(info)) return;
    throw new EngineError(
      "store",
      "STORE_UNTRUSTED_PATH",
      `cannot add path '${info.path}' because it lacks a valid signature`,
      { hint: "Add the signer's key to trusted-public-keys, or sign the path where it was built (secret-key-files)." },
    );
  }

  /** The info with signatures by all secret keys of this store. */
  signed(info: PathInfo): PathInfo {
    if (this.#secretKeys.length === 0) return info;
    const signatures = new Set(info.signatures);
    for (const key of this.#secretKeys) signatures.add(signPath(info, key));
    return { ...info, signatures: [...signatures].sort() };
  }
}
