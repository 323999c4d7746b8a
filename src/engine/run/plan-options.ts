// From the settings of a run to the options of its plan.
import type { LoadedConfig } from "../config/load.ts";
import { DEFAULT_PLAN_OPTIONS, type PlanOptions, type Waits } from "../scheduler/plan/options.ts";
import type { OpenedDestination } from "../stores/open/open-destination.ts";
import { hookMode } from "./daemon-hook.ts";

/** Bytes per second that are sent to a machine until it is known better: between a home's line and a rack's. */
const SEND_RATE = 20_000_000;

/** The options; what only the run knows (durations, transfer times) is left to it. @param run.random 0 ≤ x < 1, for the seed */
export function planOptions(
  run: { readonly config: LoadedConfig; readonly random: () => number; readonly holdWhenFailed: boolean },
  destination: OpenedDestination,
): PlanOptions {
  const { settings } = run.config;
  return {
    ...DEFAULT_PLAN_OPTIONS,
    seed: Math.floor(run.random() * 2 ** 32),
    policy: settings.policy === "nix" ? "nix" : "own",
    keepGoing: settings.keepGoing,
    fallback: settings.fallback,
    holdWhenFailed: run.holdWhenFailed,
    enforceDeterminism: settings.enforceDeterminism,
    roundsOn: settings.roundsOn,
    hook: hookMode(run.config, destination),
    maxAttempts: Math.max(1, settings.maxAttempts),
    ...waitsOf(settings.retryDelay, settings.retryDelayMax),
    sendRate: SEND_RATE,
    destinationTrusted: destination.description.trusted !== false,
  };
}

/** Builds wait a fifth of what machines do: what befell one build need not befall the next. */
function waitsOf(delay: number, longest: number): Pick<PlanOptions, "backOff" | "coolDown"> {
  const wait = (seconds: number, longestSeconds: number): Waits => ({
    firstMs: Math.min(seconds, longestSeconds) * 1000,
    longestMs: longestSeconds * 1000,
  });
  return { backOff: wait(delay / 5, longest / 5), coolDown: wait(delay, longest) };
}
