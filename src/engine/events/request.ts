// The contract from a user interface to the engine: the possible requests during a run.
import type { StopHow } from "./event.ts";
import type { GoalId, HookId, MachineId, RequestId } from "./ids.ts";

/** Every request is answered by one `requestAnswered` event naming its id. */
export type EngineRequest =
  | { readonly id: RequestId; readonly type: "cancelGoal"; readonly goal: GoalId }
  | { readonly id: RequestId; readonly type: "retryGoal"; readonly goal: GoalId }
  | { readonly id: RequestId; readonly type: "retryFailed" }
  /** Puts a goal and its inputs before everything else. */
  | { readonly id: RequestId; readonly type: "buildNext"; readonly goal: GoalId }
  | { readonly id: RequestId; readonly type: "cordonMachine"; readonly machine: MachineId }
  | { readonly id: RequestId; readonly type: "drainMachine"; readonly machine: MachineId }
  | { readonly id: RequestId; readonly type: "uncordonMachine"; readonly machine: MachineId }
  | { readonly id: RequestId; readonly type: "setSlots"; readonly machine: MachineId; readonly slots: number }
  | { readonly id: RequestId; readonly type: "pauseDispatch" }
  | { readonly id: RequestId; readonly type: "resumeDispatch" }
  | { readonly id: RequestId; readonly type: "retryHook"; readonly hook: HookId }
  | { readonly id: RequestId; readonly type: "retryHooks" }
  /** Ends a run that is held after a failure (`runHeld`). */
  | { readonly id: RequestId; readonly type: "leave" }
  | { readonly id: RequestId; readonly type: "stop"; readonly how: StopHow };
