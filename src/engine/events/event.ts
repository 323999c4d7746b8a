// The contract from engine to reader: past-tense facts as plain values, so that any run can be recorded and replayed.
//
// Every field is always present (null when there is no value); 64-bit numbers are decimal strings; text from outside (log lines, names,
// hosts) is passed on as it came, and the code that shows it must sanitise it. docs/EVENTS.md documents the JSON form.
import type { BuildStatus } from "../derivation/build-result.ts";
import type { ClaimId, CopyId, GoalId, HookId, MachineId, RequestId } from "./ids.ts";

/** Raised with every incompatible change of the union below. */
export const EVENTS_VERSION = 1;

/** A decimal number of up to 64 bits, as text. */
export type Decimal = string;

/** An event as published: numbered without gaps from 0, with the wall time in ms since 1970. */
export interface PublishedEvent {
  readonly seq: number;
  readonly at: number;
  readonly event: EngineEvent;
}

export type EngineEvent =
  | RunEvent
  | GoalEvent
  | BuildEvent
  | CopyEvent
  | MachineEvent
  | RoundEvent
  | HookEvent
  | UsageEvent
  | AnswerEvent;

// ---- the run ----

export type RunEvent =
  | {
      readonly type: "runStarted";
      readonly eventsVersion: typeof EVENTS_VERSION;
      readonly runId: string;
      readonly program: string;
      readonly store: string;
      /** `own` or `nix`; `watched` when another program decides and the run can only be watched. */
      readonly policy: string;
      readonly keepGoing: boolean;
      /** Rounds of every build (`repeat` + 1). */
      readonly rounds: number;
    }
  /** What is being done before the first goal is known: evaluating, opening the store, querying. */
  | { readonly type: "runStageChanged"; readonly stage: RunStage; readonly detail: string }
  | { readonly type: "runStopping"; readonly how: StopHow; readonly reason: string }
  | { readonly type: "dispatchPaused" }
  | { readonly type: "dispatchResumed" }
  /** What is left of the run; null while there is no honest estimate. */
  | { readonly type: "estimateChanged"; readonly remaining: Estimate | null }
  | {
      readonly type: "noticeRaised";
      readonly level: "info" | "warning" | "error";
      readonly code: string;
      readonly message: string;
      readonly hint: string | null;
      /** The underlying cause in the words of its source; null when there is nothing to add. */
      readonly cause: string | null;
      readonly machine: MachineId | null;
      readonly goal: GoalId | null;
    }
  /**
   * Everything has ended, not all of it well, and the run waits for its user: failed goals and hooks can be retried (announced by `goalReopened`
   * and `hookQueued`), and a `leave` request ends it. `exitStatus` is what it would be now. Only for runs that were asked to wait.
   */
  | { readonly type: "runHeld"; readonly exitStatus: number }
  | { readonly type: "runFinished"; readonly outcome: RunOutcome };

export type RunStage = "evaluating" | "opening" | "planning" | "building" | "finishing";

/** `drain`: running work finishes, nothing new starts. `cancel`: running work is cancelled. */
export type StopHow = "drain" | "cancel";

/** Remaining time between honest bounds, in ms. `unpredictable` counts the builds without any history. */
export interface Estimate {
  readonly lowMs: number;
  readonly highMs: number;
  readonly unpredictable: number;
}

/** How the whole run ended. `exitStatus` is Nix's (manual, nix-build, special exit codes). */
export interface RunOutcome {
  readonly exitStatus: number;
  readonly built: number;
  readonly substituted: number;
  readonly alreadyValid: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly notBuilt: number;
  /** Output paths of the targets that are valid now, in the requested order. */
  readonly outputs: readonly string[];
  readonly interrupted: boolean;
}

// ---- goals ----

export type GoalEvent =
  | { readonly type: "goalsAdded"; readonly goals: readonly GoalDescription[] }
  | { readonly type: "goalWaiting"; readonly goal: GoalId; readonly reason: WaitingReason }
  /** `from` is empty while the source is unknown; then the event comes again for every path that is fetched, inputs included. */
  | {
      readonly type: "substitutionStarted";
      readonly goal: GoalId;
      readonly paths: readonly string[];
      readonly from: string;
    }
  | {
      readonly type: "substitutionProgressed";
      readonly goal: GoalId;
      readonly doneBytes: Decimal;
      readonly expectedBytes: Decimal;
    }
  | { readonly type: "goalFinished"; readonly goal: GoalId; readonly result: GoalResult }
  /** The user asked for a retry: the goal waits again. */
  | { readonly type: "goalReopened"; readonly goal: GoalId };

/** A goal, as the plan learned of it. */
export interface GoalDescription {
  readonly goal: GoalId;
  /** Derivation name without hash and `.drv`, or the path's name. */
  readonly name: string;
  readonly kind: "derivation" | "path";
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly outputs: readonly string[];
  /** Goals that must finish first. */
  readonly inputs: readonly GoalId[];
  /** Requested by the user, not only an input. */
  readonly isTarget: boolean;
  /** Usual duration of the build according to the history, null when unknown. */
  readonly expectedMs: number | null;
}

/** Why a goal does not run; one reason at a time, `paused` and `hook` before all others. */
export type WaitingReason =
  /** Inputs that are not finished; at most the first eight are listed. */
  | { readonly type: "inputs"; readonly pending: number; readonly first: readonly GoalId[] }
  /** Every slot of every machine that could take it is busy. */
  | { readonly type: "slots"; readonly machines: readonly MachineId[] }
  /** A faster machine is worth waiting for; `because` gives the reason in numbers, and until when. */
  | {
      readonly type: "betterMachine";
      readonly machine: MachineId;
      readonly expectedAt: number;
      readonly because: string;
    }
  /** All machines that could take it are cooling down; `until` is wall time in ms. */
  | { readonly type: "coolingDown"; readonly machines: readonly MachineId[]; readonly until: number }
  /** The connections to the machines that could take it are not up yet. */
  | { readonly type: "connecting"; readonly machines: readonly MachineId[] }
  /** The machines that could take it are cordoned or draining. */
  | { readonly type: "cordoned"; readonly machines: readonly MachineId[] }
  /** Will be tried again after a machinery failure; wall time in ms. */
  | { readonly type: "backOff"; readonly until: number; readonly attempt: number; readonly lastFailure: string }
  /** A blocking post-build hook must finish first. */
  | { readonly type: "hook"; readonly hook: HookId }
  | { readonly type: "paused" };

/** How a goal ended. */
export type GoalResult =
  | { readonly type: "alreadyValid"; readonly outputs: readonly OutputPath[] }
  | { readonly type: "substituted"; readonly outputs: readonly OutputPath[] }
  | {
      readonly type: "built";
      readonly outputs: readonly OutputPath[];
      readonly machine: MachineId;
      readonly durationMs: number;
      readonly rounds: number;
      /** Rounds differed, but `enforce-determinism` is off. */
      readonly nonDeterministic: boolean;
    }
  | { readonly type: "failed"; readonly failure: BuildFailure }
  | { readonly type: "cancelled"; readonly reason: string }
  /** An input failed or was cancelled, or the run stopped before it could start. */
  | { readonly type: "notBuilt"; readonly because: GoalId | null; readonly reason: string };

export interface OutputPath {
  readonly name: string;
  readonly path: string;
}

/** Everything known about a failed build. */
export interface BuildFailure {
  /** `final`: the builder program failed, so only the user can ask for a retry. `machinery`: everything around it failed, five times. */
  readonly kind: "final" | "machinery";
  readonly status: BuildStatus;
  /** The bit this failure contributes to Nix's exit status. */
  readonly exitClass: ExitClass;
  /** The actual reason in words, without log lines. */
  readonly message: string;
  /** The relevant last lines of the log, oldest first. */
  readonly logTail: readonly string[];
  readonly machine: MachineId | null;
  /** Where the whole log is kept on disk, null when there is none. */
  readonly logFile: string | null;
  /** `machine:path` of a build directory kept for `--keep-failed`. */
  readonly keptDirectory: string | null;
  /** Reasons of earlier attempts, oldest first. */
  readonly attempts: readonly string[];
}

/** Nix's failure classes: 100 build, 101 timeout, 102 hash mismatch, 104 not deterministic, 1 anything else. */
export type ExitClass = "build" | "timeout" | "hashMismatch" | "notDeterministic" | "other";

// ---- one execution of one derivation on one machine ----

export type BuildEvent =
  | {
      readonly type: "buildAssigned";
      readonly claim: ClaimId;
      readonly goal: GoalId;
      readonly machine: MachineId;
      /** 0-based slot of the machine: the lane. */
      readonly slot: number;
      readonly attempt: number;
      /** 1-based. */
      readonly round: number;
      readonly rounds: number;
      /** A check (`--check`): the outputs were valid before. */
      readonly isCheck: boolean;
      readonly expectedMs: number | null;
      /** Why this machine was chosen, in words, for `--explain`. */
      readonly explanation: string;
    }
  | { readonly type: "buildStageChanged"; readonly claim: ClaimId; readonly stage: BuildStage }
  | { readonly type: "buildPhaseChanged"; readonly claim: ClaimId; readonly phase: string }
  /** From its first line on, the whole log is written to this file on disk, one log line per line. */
  | { readonly type: "buildLogKept"; readonly claim: ClaimId; readonly file: string }
  /** Log lines without line ends, unsanitised, in order. */
  | { readonly type: "buildLogged"; readonly claim: ClaimId; readonly lines: readonly string[] }
  /** The slot is free again from now on. */
  | { readonly type: "buildEnded"; readonly claim: ClaimId; readonly durationMs: number; readonly result: BuildEnd };

export type BuildStage = "preparing" | "sendingInputs" | "building" | "receivingOutputs";

export type BuildEnd =
  | { readonly type: "built" }
  | { readonly type: "alreadyValid" }
  | { readonly type: "failed"; readonly kind: "final" | "machinery"; readonly message: string }
  | { readonly type: "cancelled" };

// ---- transfers ----

export type CopyEvent =
  | {
      readonly type: "copyStarted";
      readonly copy: CopyId;
      readonly direction: "upload" | "download";
      readonly machine: MachineId;
      readonly claim: ClaimId | null;
      readonly paths: number;
      readonly expectedBytes: Decimal;
    }
  | { readonly type: "copyProgressed"; readonly copy: CopyId; readonly doneBytes: Decimal }
  | {
      readonly type: "copyFinished";
      readonly copy: CopyId;
      readonly doneBytes: Decimal;
      readonly durationMs: number;
      readonly failure: string | null;
    };

// ---- machines ----

export type MachineEvent =
  | { readonly type: "machineAdded"; readonly machine: MachineDescription }
  | { readonly type: "machineStateChanged"; readonly machine: MachineId; readonly state: MachineState }
  | { readonly type: "machineSlotsChanged"; readonly machine: MachineId; readonly slots: number }
  /** What the connection revealed. */
  | {
      readonly type: "machineIdentified";
      readonly machine: MachineId;
      readonly nixVersion: string | null;
      readonly protocol: string;
      readonly trusted: boolean | null;
    };

export interface MachineDescription {
  readonly machine: MachineId;
  /** Store reference as given, `local` for this machine. */
  readonly uri: string;
  readonly systems: readonly string[];
  readonly slots: number;
  readonly speedFactor: number;
  readonly supportedFeatures: readonly string[];
  readonly mandatoryFeatures: readonly string[];
  /** `NIX_BUILD_CORES` of its builds; 0 means all of its cores, null unknown. */
  readonly buildCores: number | null;
  /** The machine's number of cores, null until sampled. */
  readonly cores: number | null;
}

export type MachineState =
  | { readonly type: "idle" }
  | { readonly type: "connecting" }
  | { readonly type: "up" }
  /** `until` is wall time in ms. */
  | { readonly type: "coolingDown"; readonly reason: string; readonly until: number; readonly failures: number }
  /** Takes nothing new until uncordoned. */
  | { readonly type: "cordoned" }
  /** Takes nothing new, disconnects when idle. */
  | { readonly type: "draining" }
  /** Given up for this run, with the reason (changed host key, key rejected, no Nix). */
  | { readonly type: "off"; readonly reason: string };

// ---- determinism ----

export type RoundEvent =
  | {
      readonly type: "roundFinished";
      readonly goal: GoalId;
      readonly claim: ClaimId;
      readonly round: number;
      readonly rounds: number;
      readonly machine: MachineId;
      readonly verdict: "first" | "same" | "differs";
    }
  | {
      readonly type: "outputDiffered";
      readonly goal: GoalId;
      readonly output: string;
      readonly firstPath: string;
      /** Where the other result is kept, null when it is not. */
      readonly otherPath: string | null;
      readonly round: number;
      readonly firstMachine: MachineId;
      readonly otherMachine: MachineId;
      /** Built-in summary of the differences, one finding per line. */
      readonly summary: readonly string[];
    };

// ---- hooks ----

export type HookEvent =
  | {
      readonly type: "hookQueued";
      readonly hook: HookId;
      readonly kind: HookKind;
      readonly goal: GoalId;
      readonly paths: readonly string[];
    }
  | { readonly type: "hookStarted"; readonly hook: HookId; readonly attempt: number }
  | { readonly type: "hookLogged"; readonly hook: HookId; readonly lines: readonly string[] }
  | { readonly type: "hookFinished"; readonly hook: HookId; readonly result: HookResult };

export type HookKind = "postBuild" | "diff" | "upload";

export type HookResult =
  | { readonly type: "succeeded"; readonly durationMs: number }
  | { readonly type: "willRetry"; readonly reason: string; readonly at: number }
  | { readonly type: "failed"; readonly reason: string }
  /** Not run, or an earlier run's hook that failed again: it stays in the queue on disk. */
  | { readonly type: "left"; readonly reason: string }
  /** Failed in too many runs: it stays in the queue on disk until the user retries it. */
  | { readonly type: "givenUp"; readonly reason: string; readonly attempts: number }
  /** Nothing left to do: its paths are gone. */
  | { readonly type: "dropped"; readonly reason: string };

// ---- measured use ----

export type UsageEvent =
  | {
      readonly type: "usageSampled";
      readonly machine: MachineId;
      /** The same for listed machines that are one host; null when unknown. */
      readonly host: string | null;
      /** Share of each core in use, 0 to 1. */
      readonly cores: readonly number[];
      readonly load1: number;
      readonly memoryUsedBytes: Decimal;
      readonly memoryTotalBytes: Decimal;
    }
  | { readonly type: "usageUnavailable"; readonly machine: MachineId; readonly reason: string };

// ---- answers ----

/** Every request is answered exactly once. */
export type AnswerEvent = {
  readonly type: "requestAnswered";
  readonly request: RequestId;
  readonly done: boolean;
  /** What was done, or why not. */
  readonly message: string;
};
