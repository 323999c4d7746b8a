// Determines whether a daemon trusts us when its protocol does not say (before worker protocol 1.35, Nix 2.15).
import type { BasicDerivation } from "../../derivation/derivation.ts";
import { byteStringOf } from "../../formats/byte-string.ts";
import { STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import { isRemoteError } from "../../protocols/remote-error.ts";
import type { WorkerConnection } from "../../protocols/worker/client.ts";

const OUTPUT = `${STORE_DIR}/${"0".repeat(32)}-tsbuild-top-probe` as StorePath;
const DERIVATION = `${OUTPUT}.drv` as StorePath;

/** A derivation for a system nobody has: a daemon that trusts us gets as far as reporting that, others refuse earlier (Nix: daemon.cc). */
const PROBE: BasicDerivation = {
  name: "tsbuild-top-probe",
  outputs: new Map([["out", { type: "inputAddressed", path: OUTPUT }]]),
  inputSrcs: new Set(),
  platform: "tsbuild-top-probe",
  builder: byteStringOf("/none"),
  args: [],
  // Otherwise the daemon would first look for the output in its caches.
  env: new Map([
    [byteStringOf("allowSubstitutes"), byteStringOf("")],
    [byteStringOf("out"), byteStringOf(OUTPUT)],
  ]),
};

/**
 * Whether the daemon lets us build input-addressed derivations, which only trusted users may. Requested as a check of outputs that do not exist:
 * the daemon refuses that before it locks the outputs, so that no lock file stays behind.
 */
export async function probeTrust(connection: WorkerConnection): Promise<boolean | null> {
  try {
    await connection.buildDerivation(DERIVATION, PROBE, "check");
    return true;
  } catch (error) {
    if (isRemoteError(error) && /not privileged/.test(error.remoteMessage)) return false;
    if (isRemoteError(error) && /checking is not possible/.test(error.remoteMessage)) return true;
    if (isRemoteError(error)) return null;
    throw error;
  }
}
