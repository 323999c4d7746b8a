// How a connection's daemon must deviate from its own configuration (SetOptions).

import { nixVersionAtLeast } from "../../protocols/version.ts";
import type { ClientOptions } from "../../protocols/worker/codec.ts";
import type { BuildOptions } from "../store.ts";

/** Options of a connection that is not used for building. `substituters` and similar settings are sent as overrides. */
export function queryOptions(
  useSubstitutes: boolean,
  tryFallback: boolean,
  overrides: ReadonlyMap<string, string>,
): ClientOptions {
  return {
    keepFailed: false,
    keepGoing: true,
    tryFallback,
    verbosity: 3,
    maxBuildJobs: 1,
    maxSilentTime: 0,
    verboseBuild: false,
    buildCores: 0,
    useSubstitutes,
    overrides: new Map([...overrides, ["builders", ""]]),
  };
}

/**
 * Options of a connection that builds. Substitution is off, since every input is already there and a machine with an unreachable cache would
 * stall on each build; `builders` is empty, since Nix 2.30 and later would pass the build on to the machine's own builders.
 * @param machineCores the machine's own `cores`, kept unless the user set one; SetOptions always replaces it
 * @param fixed overrides for every build of the store
 * @param nixVersion of the daemon, null when unknown
 */
export function buildClientOptions(
  options: BuildOptions,
  machineCores: number,
  fixed: ReadonlyMap<string, string>,
  nixVersion: string | null,
): ClientOptions {
  const overrides = new Map<string, string>([["builders", ""], ...fixed]);
  // Each round is a separate build, which a `repeat` in the machine's nix.conf would multiply. Nix 2.13 dropped the setting and would warn.
  if (!nixVersionAtLeast(nixVersion, 2, 13)) overrides.set("repeat", "0");
  if (options.timeout > 0) overrides.set("timeout", String(options.timeout));
  if (options.maxLogSize > 0n) overrides.set("max-build-log-size", String(options.maxLogSize));
  // Keeping a .check requires a diff hook. This program runs the user's, once for each difference on any machine.
  overrides.set("run-diff-hook", options.keepCheck ? "true" : "false");
  if (options.keepCheck) overrides.set("diff-hook", "/bin/true");
  return {
    keepFailed: options.keepFailed,
    keepGoing: true,
    tryFallback: false,
    verbosity: 3,
    maxBuildJobs: 1,
    maxSilentTime: options.maxSilentTime,
    verboseBuild: true,
    buildCores: options.cores ?? machineCores,
    useSubstitutes: false,
    overrides,
  };
}
