// What the scheduler wants done; the driver performs it and answers with facts, and makes no choice of its own.
import type { RunOutcome } from "../../events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId } from "../../events/ids.ts";
import type { CheckStrategy } from "./rounds/check-strategy.ts";

export type Command =
  /** Answered by `machineConnected` or `machineLost`. */
  | { readonly type: "connectMachine"; readonly machine: MachineId }
  | { readonly type: "disconnectMachine"; readonly machine: MachineId; readonly reason: string }
  /** Make the goal's outputs valid by substitution. Answered by `substitutionEnded`. */
  | { readonly type: "startSubstitution"; readonly goal: GoalId }
  | { readonly type: "cancelSubstitution"; readonly goal: GoalId }
  | StartBuild
  /** Go on with a claim that is compared, in this way. The answer to `claimComparable`. */
  | { readonly type: "buildCompared"; readonly claim: ClaimId; readonly strategy: CheckStrategy }
  /** Fetch the outputs of a claim that was built. Answered by `outputsReceived` or `claimFailed`. */
  | { readonly type: "receiveOutputs"; readonly claim: ClaimId }
  /** Kill what the claim does, wherever it is. Answered by `claimCancelled`, unless it ended meanwhile. */
  | { readonly type: "cancelClaim"; readonly claim: ClaimId; readonly reason: string }
  /** Enforced determinism failed: the outputs must not stay valid in the destination store. Not answered. */
  | { readonly type: "takeBackOutputs"; readonly goal: GoalId; readonly claim: ClaimId }
  /** A claim's result differs from the first one, which is that of `first` where there are rounds: say what differs. Not answered. */
  | {
      readonly type: "explainDifference";
      readonly goal: GoalId;
      readonly first: ClaimId | null;
      readonly claim: ClaimId;
    }
  /** Answered by `hookStarted` and `hookEnded`. */
  | { readonly type: "runPostBuildHook"; readonly hook: HookId; readonly goal: GoalId; readonly claim: ClaimId }
  | { readonly type: "cancelHook"; readonly hook: HookId }
  /** A `tick` is wanted at this time (monotonic ms); replaces an earlier one. */
  | { readonly type: "wakeAt"; readonly at: number }
  /** Nothing is left to do. */
  | { readonly type: "finishRun"; readonly outcome: RunOutcome };

/** Send the inputs to a machine and build there. Answered by `claimStage` facts, then `claimBuilt`, `claimFailed` or `claimCancelled`. */
export interface StartBuild {
  readonly type: "startBuild";
  readonly claim: ClaimId;
  readonly goal: GoalId;
  readonly machine: MachineId;
  readonly slot: number;
  readonly attempt: number;
  readonly round: number;
  readonly rounds: number;
  /** An earlier run sent it there: its outputs may be there already, and nothing has to be sent for them. */
  readonly isResumed: boolean;
  /** How the result is compared: not at all, with what is valid in the destination store, or with an earlier round's claim. */
  readonly compare:
    | { readonly type: "none" }
    | { readonly type: "check" }
    | { readonly type: "round"; readonly first: ClaimId };
}
