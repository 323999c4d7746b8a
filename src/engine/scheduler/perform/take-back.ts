// Takes back what a goal left valid in the destination store although its rounds differ and determinism is enforced.
import { messageOf } from "../../base/errors.ts";
import type { EngineEvent } from "../../events/event.ts";
import type { GoalId } from "../../events/ids.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { DestinationPort, GoalsPort } from "./driver-options.ts";

export interface TakeBackPorts {
  readonly destination: Pick<DestinationPort, "store" | "infos">;
  readonly goals: Pick<GoalsPort, "realisations" | "validBefore">;
  readonly publish: (event: EngineEvent) => void;
}

/** Deletes the goal's outputs that became valid in this run. Never rejects: what cannot be deleted is a warning. */
export async function takeBack(goal: GoalId, { destination, goals, publish }: TakeBackPorts): Promise<void> {
  const { realisations, validBefore } = goals;
  const paths = realisations.outputs(goal as string as StorePath).filter((path) => !validBefore.has(path));
  try {
    // They were made in this run, whose own roots are all that keeps them.
    await destination.store.deletePaths(paths, true);
    for (const path of paths) destination.infos.forget(path);
  } catch (error) {
    publish({
      type: "noticeRaised",
      cause: null,
      level: "warning",
      code: "OUTPUTS_NOT_TAKEN_BACK",
      message: `outputs that are not deterministic stay valid: ${messageOf(error)}`,
      hint: `delete them with: nix-store --delete ${paths.join(" ")}`,
      machine: null,
      goal,
    });
  }
}
