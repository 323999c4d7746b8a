// Who runs the post-build hook for what this machine's Nix builds: this program, unless the daemon does it whatever we say.
import type { LoadedConfig } from "../config/load.ts";
import type { HookMode } from "../scheduler/plan/options.ts";
import type { OpenedDestination } from "../stores/open/open-destination.ts";

/**
 * Whether the daemon runs the hook of the machine's nix.conf by itself. A daemon that trusts us is told not to, so that the hook runs once for
 * each build wherever it ran; one that does not would ignore that, and runs it with rights this user may not have.
 */
export function daemonRunsHook(
  { settings, userSettings }: Pick<LoadedConfig, "settings" | "userSettings">,
  { kind, description }: Pick<OpenedDestination, "kind" | "description">,
): boolean {
  // A hook the user has set is the user's own, and the daemon knows nothing of it.
  const isMachines = settings.postBuildHook !== null && !userSettings.has("post-build-hook");
  return isMachines && kind === "nix" && description.trusted === false;
}

/** How hooks take part in the plan: queued ones do not, they are queued when a build is told of. */
export function hookMode(
  config: Pick<LoadedConfig, "settings" | "userSettings">,
  destination: Pick<OpenedDestination, "kind" | "description">,
): HookMode {
  const { postBuildHook, postBuildHookMode } = config.settings;
  if (postBuildHook === null || postBuildHookMode !== "blocking") return { type: "none" };
  return { type: "blocking", exceptLocal: daemonRunsHook(config, destination) };
}
