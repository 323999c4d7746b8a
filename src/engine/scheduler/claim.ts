// One assignment of a goal's round to a slot of a machine.
import type { ClaimId } from "../events/ids.ts";
import type { StartBuild } from "./command.ts";
import type { BuiltOutput } from "./fact.ts";
import type { Goal } from "./goal.ts";
import type { Machine } from "./machine.ts";

export type ClaimState =
  | { readonly type: "running" }
  /** The slot is free; the outputs lie on the machine. */
  | { readonly type: "built" }
  | { readonly type: "receiving" }
  | { readonly type: "ended" };

/** What a builder left behind. */
export interface ClaimEnd {
  readonly durationMs: number;
  /** False when the machine had the outputs already, and not from this goal's own earlier claim. */
  readonly executed: boolean;
  readonly outputs: readonly BuiltOutput[];
  /** Outputs that differ from what it was compared with there. */
  readonly differs: readonly string[];
}

export interface Claim {
  readonly id: ClaimId;
  readonly goal: Goal;
  readonly machine: Machine;
  readonly slot: number;
  /** 1-based; also kept by a replacement when a round is lost to machinery. */
  readonly round: number;
  readonly attempt: number;
  readonly compare: StartBuild["compare"];
  /** Monotonic ms. */
  readonly startedAt: number;
  /** What sending the inputs was expected to take, and what is recorded of such a build there, in ms. */
  readonly sendMs: number;
  readonly recordedMs: number;
  state: ClaimState;
  /** The machine was asked to build: it may finish although the claim is lost. */
  wasAsked: boolean;
  /** Asked to stop. */
  cancelling: boolean;
  end: ClaimEnd | null;
  /** What Nix says of the outputs that differ, as the machine's comparison gave it. */
  differences: readonly string[];
}
