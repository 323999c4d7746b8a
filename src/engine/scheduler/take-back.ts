// Takes outputs back out of the destination store that are not deterministic, where that is enforced.
import { messageOf } from "../errors.ts";
import type { EngineEvent } from "../events/event.ts";
import type { GoalId } from "../events/ids.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { PathInfos } from "../stores/path-infos.ts";
import type { DestinationStore } from "../stores/store.ts";

/** Deletes paths that were made in this run; gives back what to tell when they stay. Does not throw. */
export async function takeBackOutputs(
  destination: { readonly store: DestinationStore; readonly infos: PathInfos },
  goal: GoalId,
  paths: readonly StorePath[],
): Promise<EngineEvent | null> {
  try {
    // The run's own roots are all that keeps them.
    await destination.store.deletePaths(paths, true);
    for (const path of paths) destination.infos.forget(path);
    return null;
  } catch (error) {
    return {
      type: "noticeRaised",
      level: "warning",
      code: "OUTPUTS_NOT_TAKEN_BACK",
      message: `outputs that are not deterministic stay valid: ${messageOf(error)}`,
      hint: `delete them with: nix-store --delete ${paths.join(" ")}`,
      machine: null,
      goal,
    };
  }
}
