// The records a plan is made of: goals, claims, machines and classes of goals. They refer to one another, and so they stand in one file.
import type { GoalResult, MachineState, WaitingReason } from "../../../events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId } from "../../../events/ids.ts";
import type { StartBuild } from "../command.ts";
import type { BuiltOutput, GoalSpec, MachineSpec } from "../fact.ts";
import type { ResumedGoal } from "../options.ts";
import type { ReadyQueue } from "../queues/ready-queue.ts";

/** One round of a goal that is being built. */
export type RoundState =
  /** Not before the earlier rounds: all rounds must use one machine. */
  | { readonly type: "later" }
  | { readonly type: "queued" }
  /** Lost to machinery; tried again at `until` (monotonic ms). */
  | { readonly type: "backOff"; readonly until: number }
  | { readonly type: "running"; readonly claim: Claim }
  /** `differs` is null until the first round is there to compare with. */
  | { readonly type: "built"; readonly claim: Claim; readonly differs: readonly string[] | null };

/** The phase of a goal whose inputs are there: it waits for slots, or is being built. */
export interface BuildingPhase {
  readonly type: "building";
  readonly rounds: RoundState[];
  /** Whether the first round's outputs have come into the destination store. */
  received: "no" | "underWay" | "yes";
  /** Decided already; only what still runs for it has to end. */
  verdict: GoalResult | null;
}

/** The states a goal goes through. */
export type GoalPhase =
  /** Nobody needs it. */
  | { readonly type: "dormant" }
  /** Waits for inputs. */
  | { readonly type: "inputs" }
  /** Waits until substitutions may start. */
  | { readonly type: "toSubstitute" }
  /** `verdict`: it was cancelled and only has to end. */
  | { readonly type: "substituting"; verdict: GoalResult | null }
  | BuildingPhase
  /** Built; a blocking post-build hook must finish first. */
  | { readonly type: "hook"; readonly hook: HookId; readonly result: GoalResult }
  | { readonly type: "finished"; readonly result: GoalResult };

/** What went wrong with a goal on one machine. */
export interface Trouble {
  failures: number;
  /** It cannot be built there, whatever else happens. */
  excluded: string | null;
}

/** What the plan knows of one goal. */
export interface Goal {
  readonly id: GoalId;
  spec: GoalSpec;
  /** Order of arrival: Nix's order. */
  readonly index: number;
  inputs: readonly Goal[];
  /** Goals that have this one as an input, needed or not. */
  dependants: Goal[];
  /** Longest chain of inputs under it; an input's is smaller. */
  level: number;
  isTarget: boolean;
  needed: boolean;
  /** Inputs that have not ended well; 0 unless it waits for inputs. */
  pending: number;
  phase: GoalPhase;
  /** How it is matched with machines; null until it is needed for building. */
  goalClass: GoalClass | null;
  /** Expected work in ms on a machine of speed factor 1; a guess unless `isKnown`. */
  work: number;
  isKnown: boolean;
  /** The work that is recorded of it, whether it is believed or not; the guess where nothing is. */
  recorded: number;
  /** Until when (monotonic ms) it may wait for a busy machine while another one is free; null while it does not. */
  patience: number | null;
  /** Work in ms of the longest chain of needed builds that wait for it, itself excluded. */
  below: number;
  /** Set while goals are gone through, so that each is visited once. */
  mark: number;
  /** Raised by the user's "build next"; the highest goes first. Below 1 what an earlier run had begun. */
  boost: number;
  /** What an earlier run says of it. */
  readonly resumed: ResumedGoal | null;
  /** The class in whose queues it is, null in none. */
  queuedIn: GoalClass | null;
  /** Reasons of failed attempts, oldest first. */
  failures: string[];
  /** Failures that may have been its own: what each said. */
  answers: readonly Answer[];
  /** By machine index. */
  trouble: Map<number, Trouble> | null;
  /** Machines, by index, that were asked to build it by a claim that was lost: they may have finished it. */
  begunOn: readonly number[];
  /** Bytes of its outputs, 0 when unknown. */
  outputBytes: number;
  /** Machines that have its outputs, by index. */
  places: number[];
  /** Builds of it that have not ended, receiving included. */
  open: Claim[];
  /** The reason published last, and when (monotonic ms). */
  waiting: WaitingReason | null;
  waitingSince: number;
}

/** What a machine said of a goal, as far as it may be said again elsewhere. */
export interface Answer {
  readonly machine: Machine;
  readonly words: string;
  /** Whether the machine was suspected for it. */
  readonly suspected: boolean;
}

/** How far a claim has come. */
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
  /** What Nix says of each of them, as the comparison there gave it; empty where nothing was compared there. */
  readonly messages: readonly string[];
}

/** One assignment of a goal's round to a slot of a machine. */
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
}

/** Whether a machine may be given work. */
export type MachineCondition =
  | { readonly type: "open" }
  /** `until` is monotonic, `untilWall` wall time, both in ms. */
  | { readonly type: "coolingDown"; readonly reason: string; readonly until: number; readonly untilWall: number }
  /** Given up for this run. */
  | { readonly type: "off"; readonly reason: string };

/** What a machine's builds say of its pace: logarithms of actual ÷ expected length, weighed by how much each tells. */
export interface PaceEvidence {
  weight: number;
  sum: number;
  /** How many times slower than its speed factor says the machine is, by that. */
  slower: number;
  /** How many times slower it may be than all that says, as long as little is known. */
  doubt: number;
}

/** What the plan knows of one machine: its link, its condition, its slots. */
export interface Machine {
  readonly id: MachineId;
  readonly index: number;
  readonly spec: MachineSpec;
  /** Slots in force now. */
  slots: number;
  link: "down" | "connecting" | "up";
  /** It has been connected to in this run. */
  wasUp: boolean;
  /** Failures in a row, since it was up, that trying again is said not to mend. */
  refusals: number;
  /** When its connection was begun (monotonic ms). */
  connectingSince: number;
  condition: MachineCondition;
  /** Whether it is given new builds, as the user wishes; a draining one is left once it is idle. */
  intake: "open" | "cordoned" | "draining";
  /** Null until it said. */
  trusted: boolean | null;
  /** Claims by slot; may be longer than `slots` after slots were taken away. */
  readonly lanes: (Claim | null)[];
  running: number;
  /** A slot became free since the queues were last gone through. */
  hasFreed: boolean;
  /** Times it failed in a row: decides how long it cools down. */
  failures: number;
  /** Failed builds in a row, of whatever kind: it loses precedence. */
  streak: number;
  /** Failures of its machinery in a row: it cools down after a few. */
  suspicion: number;
  /** What its builds say of its speed. */
  readonly pace: PaceEvidence;
  /** Bytes per second that inputs were sent with lately, null before any were. */
  sendRate: number | null;
  load: { readonly load1: number; readonly cores: number } | null;
  published: MachineState;
}

/** Goals that match the same machines. */
export interface GoalClass {
  readonly key: string;
  readonly sample: GoalSpec;
  /** Machines that may take its goals some time: those that match and are not off. */
  possible: readonly Machine[];
  /** The one of them with the highest speed factor. */
  quickest: Machine | null;
  /** Those that would take one now if they had a slot. */
  usable: readonly Machine[];
  /** Those being connected to, which may be worth waiting for. */
  arriving: readonly Machine[];
  /** What `possible` and `usable` were computed for. */
  stamp: number;
  /** Whether machines may have to be connected for it. */
  isUnconnected: boolean;
  /** Goals that want a slot, one queue for each way their length is guessed. */
  readonly queues: readonly ReadyQueue<Goal>[];
  /** The pass over the queues that is under way: whether this one is gone through, how far each queue was looked at, how many may yet be passed by. */
  readonly pass: { isOpen: boolean; readonly places: number[]; left: number; setsCutoff: boolean };
  /** A goal less urgent than this changes nothing by joining: either no slot is free, or more urgent ones have passed the free ones by. */
  cutoff: number;
  /** Goals that no usable machine may take just now; looked at again when machines change. */
  readonly aside: Set<Goal>;
  /** Needed goals that have not ended. */
  members: number;
  /** The kind of reason its waiting goals were told last, and when (monotonic ms). */
  told: WaitingReason["type"] | null;
  toldAt: number;
  /** Why its goals wait for machines, and the state of the machines it was worked out for. */
  reason: WaitingReason | null;
  reasonStamp: number;
}
