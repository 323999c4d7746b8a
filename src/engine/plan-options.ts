// From the settings of a run to the options of its plan.
import type { LoadedConfig } from "./config/load.ts";
import { DEFAULT_PLAN_OPTIONS, type HookMode, type PlanOptions } from "./scheduler/options.ts";
import type { OpenedDestination } from "./stores/open-destination.ts";

/** The options; what only the run knows (durations, transfer times) is left to it. @param run.random 0 ≤ x < 1, for the seed */
export function planOptions(
  run: { readonly config: LoadedConfig; readonly random: () => number; readonly holdWhenFailed: boolean },
  destination: OpenedDestination,
): PlanOptions {
  const { settings } = run.config;
  const blocks = settings.postBuildHook !== null && settings.postBuildHookMode === "blocking";
  const hook: HookMode = { type: blocks ? "blocking" : "none" };
  return {
    ...DEFAULT_PLAN_OPTIONS,
    seed: Math.floor(run.random() * 2 ** 32),
    policy: settings.policy === "nix" ? "nix" : "own",
    keepGoing: settings.keepGoing,
    fallback: settings.fallback,
    holdWhenFailed: run.holdWhenFailed,
    enforceDeterminism: settings.enforceDeterminism,
    roundsOn: settings.roundsOn,
    hook,
    maxAttempts: settings.maxAttempts,
    destinationTrusted: destination.description.trusted !== false,
  };
}
