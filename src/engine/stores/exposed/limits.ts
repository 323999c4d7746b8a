// From a client's build limits and options, in either protocol, to the options of the executor.
import type { ServedBuildLimits } from "../../protocols/handler.ts";
import type { ClientOptions } from "../../protocols/worker/codec.ts";
import type { BuildOptions } from "../store.ts";

/** The server's own settings, for whatever a client does not set. */
export interface BuildDefaults {
  readonly keepFailed: boolean;
  /** Seconds, 0 none. */
  readonly maxSilentTime: number;
  readonly timeout: number;
  /** Bytes, 0n none. */
  readonly maxLogSize: bigint;
}

/** The serve protocol sends limits with each build, the worker protocol options for the rest of a connection. */
export function servedBuildOptions(
  limits: ServedBuildLimits | null,
  options: ClientOptions | null,
  defaults: BuildDefaults,
): BuildOptions {
  const override = (...names: readonly string[]): bigint | null => {
    for (const name of names) {
      const text = options?.overrides.get(name);
      if (text !== undefined && /^\d{1,18}$/.test(text)) return BigInt(text);
    }
    return null;
  };
  const keepFailed = limits?.keepFailed ?? options?.keepFailed ?? defaults.keepFailed;
  return {
    keepFailed,
    maxSilentTime: limits?.maxSilentTime ?? options?.maxSilentTime ?? defaults.maxSilentTime,
    timeout: limits?.timeout ?? Number(override("timeout", "build-timeout") ?? defaults.timeout),
    maxLogSize: limits?.maxLogSize ?? override("max-build-log-size", "build-max-log-size") ?? defaults.maxLogSize,
    cores: options?.buildCores ?? null,
    keepCheck: keepFailed || options?.overrides.get("run-diff-hook") === "true",
  };
}
