// The settings of a machine's own Nix: read by running `nix` there, since no protocol reports them.
//
// SetOptions of the worker protocol always replaces a machine's `cores`; to keep the machine's own value, it must be known.
import type { TransportOpener } from "../../transports/transport.ts";
import { commandOutput } from "./command-output.ts";

/** Maximum output (bytes) to read; a full configuration is some 10 KiB. */
const MAX_OUTPUT = 1 << 20;

/** The settings of a machine that matter to its builds; null if they could not be read. */
export interface MachineNixSettings {
  /** `cores`; 0 is all of the machine. */
  readonly cores: number | null;
  readonly maxJobs: number | null;
  readonly system: string | null;
  readonly systemFeatures: readonly string[];
}

export const UNKNOWN_SETTINGS: MachineNixSettings = { cores: null, maxJobs: null, system: null, systemFeatures: [] };

/** The command to run there: `nix config show` (2.20 and later) or `nix show-config`. POSIX sh, for any login shell. */
export const NIX_SETTINGS_COMMAND =
  "sh -c 'nix --extra-experimental-features nix-command config show 2>/dev/null || nix --extra-experimental-features nix-command show-config 2>/dev/null'";

/** Parses the output of that command: `name = value` lines. */
export function parseNixSettings(text: string): MachineNixSettings {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^([a-z-]+) = (.*)$/.exec(line);
    if (match !== null) values.set(match[1]!, match[2]!.trim());
  }
  const number = (name: string): number | null => {
    const value = values.get(name);
    return value !== undefined && /^\d+$/.test(value) ? Number(value) : null;
  };
  return {
    cores: number("cores"),
    maxJobs: number("max-jobs"),
    system: values.get("system") ?? null,
    systemFeatures: values.get("system-features")?.split(/\s+/).filter(Boolean) ?? [],
  };
}

/**
 * Runs the command through the opener and parses its output. A machine that does not allow it (a forced command, no `nix` on PATH) gives
 * {@link UNKNOWN_SETTINGS}: throws only the signal's reason.
 */
export async function readNixSettings(opener: TransportOpener, signal: AbortSignal): Promise<MachineNixSettings> {
  try {
    return parseNixSettings(await commandOutput(opener, MAX_OUTPUT, signal));
  } catch {
    signal.throwIfAborted();
    return UNKNOWN_SETTINGS;
  }
}
