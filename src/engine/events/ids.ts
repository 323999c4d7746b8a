// Branded identifiers the engine and its readers share; all of them are strings and survive JSON.

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A goal: the store path of a derivation, or of a path that only has to be valid. */
export type GoalId = Branded<"GoalId">;
/** One assignment of a goal to a slot; unique within a run. */
export type ClaimId = Branded<"ClaimId">;
/** A machine: its name in lists and on the board, unique within a run (`local`, `nix@mac`). */
export type MachineId = Branded<"MachineId">;
/** One transfer between two stores; unique within a run. */
export type CopyId = Branded<"CopyId">;
/** One run of a hook for one derivation; unique within a run. */
export type HookId = Branded<"HookId">;
/** A request of a user interface, which chooses the id; the answer repeats it. */
export type RequestId = Branded<"RequestId">;

/** The machine this program runs on. */
export const LOCAL_MACHINE = "local" as MachineId;
