// The settings of a plan: everything a decision depends on that is no fact.
import type { GoalId, MachineId } from "../../events/ids.ts";
import type { GoalSpec, MachineSpec } from "./fact.ts";

/** Whether builds wait for post-build hooks (the manual's way). Hooks that run beside the builds are no part of the plan. */
export type HookMode =
  | { readonly type: "none" }
  /** `exceptLocal`: for what the local machine builds somebody else runs it. */
  | { readonly type: "blocking"; readonly exceptLocal: boolean };

/** Waiting times that double from `firstMs` up to `longestMs`; half of each is certain, half is drawn at random. */
export interface Waits {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** What an earlier run that was interrupted says of a build. */
export interface ResumedGoal {
  /** The machine it was sent to, which may have finished it; null when it was nowhere else. */
  readonly machine: MachineId | null;
  /** It had been built there; only its outputs had not come. */
  readonly isBuilt: boolean;
  /** Reasons of the attempts it has used, oldest first. */
  readonly failures: readonly string[];
}

export interface PlanOptions {
  /** The same seed and the same facts give the same decisions. */
  readonly seed: number;
  /** `nix`: Nix's own order of goals and machines. `own`: critical path first, each build where it ends earliest. */
  readonly policy: "nix" | "own";
  readonly keepGoing: boolean;
  /** Build what could not be substituted. */
  readonly fallback: boolean;
  /** A run that ended badly waits for the user, who may try again what failed, until told to end. */
  readonly holdWhenFailed: boolean;
  /** Rounds that differ are a failure. */
  readonly enforceDeterminism: boolean;
  /** Whether the next round may, must or must not use the machine of the first. */
  readonly roundsOn: "any" | "same" | "other";
  readonly hook: HookMode;
  /** Tries of a build that fails for reasons that are not its own. */
  readonly maxAttempts: number;
  /** Waits of a build between such tries. */
  readonly backOff: Waits;
  /** Waits of a machine that failed. */
  readonly coolDown: Waits;
  /** Failures of a machine in a row, none of them the build's own, after which it cools down. */
  readonly suspectAfter: number;
  /** Whether the destination store takes unsigned paths from us. When not, remote machines build only what is content-addressed or signed there. */
  readonly destinationTrusted: boolean;
  /** Whether what this machine builds comes signed with a key the destination store trusts. */
  readonly machineSigns: (machine: MachineSpec) => boolean;
  /** Whether the outputs of an input carry a signature that machines trust, so that an account without trust may be given them. */
  readonly carriesSignature: (input: GoalSpec) => boolean;
  /** Expected duration of a build in ms, null when nothing is known. Should be quick: it is asked for every machine looked at. */
  readonly durations: (goal: GoalSpec, machine: MachineSpec) => number | null;
  /** Bytes per second that inputs are expected to be sent with before a transfer was measured; null when transfers cost nothing. */
  readonly sendRate: number | null;
  /** Builds that an earlier run did not bring to their end. */
  readonly resumed: ReadonlyMap<GoalId, ResumedGoal>;
}

/** The defaults: the manual's behaviour, with this program's own policy. */
export const DEFAULT_PLAN_OPTIONS: PlanOptions = {
  seed: 1,
  policy: "own",
  keepGoing: false,
  fallback: false,
  holdWhenFailed: false,
  enforceDeterminism: true,
  roundsOn: "any",
  hook: { type: "none" },
  maxAttempts: 5,
  backOff: { firstMs: 1000, longestMs: 60_000 },
  coolDown: { firstMs: 5000, longestMs: 300_000 },
  suspectAfter: 3,
  destinationTrusted: true,
  machineSigns: () => false,
  carriesSignature: () => false,
  durations: () => null,
  sendRate: null,
  resumed: new Map(),
};
