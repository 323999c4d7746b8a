// What the driver and the user interface tell the scheduler: everything that can change a decision, as plain values.
import type { BuildStatus } from "../../derivation/build-result.ts";
import type { BuildStage, OutputPath, StopHow } from "../../events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId, RequestId } from "../../events/ids.ts";
import type { EngineRequest } from "../../events/request.ts";
import type { MachineSide } from "./rounds/check-strategy.ts";

/** A derivation or path the plan may have to make valid. All of a target's closure is given; what nobody needs stays dormant. */
export interface GoalSpec {
  readonly goal: GoalId;
  readonly kind: "derivation" | "path";
  /** Derivation name without hash and `.drv`. */
  readonly name: string;
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly preferLocalBuild: boolean;
  /** Outputs wanted by dependants or the user. */
  readonly outputs: readonly string[];
  readonly inputs: readonly GoalId[];
  readonly isTarget: boolean;
  /** What is known of its outputs before the run. */
  readonly validity: "valid" | "substitutable" | "missing";
  /** Known output paths (empty for outputs that depend on content). */
  readonly outputPaths: readonly OutputPath[];
  /** Fixed output, floating content address, or addressed by its inputs: decides trust and the meaning of a failure. */
  readonly addressing: "input" | "fixed" | "floating" | "impure";
  /** Rebuild and compare although the outputs are valid (`--check`). */
  readonly check: boolean;
  /** The same once they are valid: they are substituted or built first. */
  readonly checkNext?: boolean;
  /** `repeat` + 1; 1 for fixed outputs. */
  readonly rounds: number;
  /** Bytes of the input sources that no other goal has: they must be sent, and say something of its weight when nothing else does. */
  readonly inputBytes: number;
}

/** A machine of the plan. What its fields mean: Nix manual, Remote Builds. */
export interface MachineSpec {
  readonly machine: MachineId;
  readonly uri: string;
  readonly isLocal: boolean;
  readonly systems: readonly string[];
  readonly slots: number;
  readonly speedFactor: number;
  readonly supportedFeatures: readonly string[];
  readonly mandatoryFeatures: readonly string[];
  readonly buildCores: number | null;
  readonly cores: number | null;
}

export type Fact =
  | { readonly type: "goalsAdded"; readonly goals: readonly GoalSpec[] }
  /** Nothing is being evaluated or queried any more: the run ends when its targets have. */
  | { readonly type: "goalsComplete" }
  | { readonly type: "machineAdded"; readonly spec: MachineSpec }
  | MachineFact
  | ClaimFact
  | { readonly type: "substitutionEnded"; readonly goal: GoalId; readonly failure: SubstitutionFailure | null }
  | HookFact
  | RequestFact
  /** Time passed; sent at the time a `wakeAt` command asked for. */
  | { readonly type: "tick" };

/** Why a goal was not fetched. */
export interface SubstitutionFailure {
  /** `gone`: what was offered cannot be had after all, as if it had never been offered. `failed`: fetching it went wrong. */
  readonly type: "gone" | "failed";
  readonly reason: string;
}

export type MachineFact =
  | {
      readonly type: "machineConnected";
      readonly machine: MachineId;
      readonly nixVersion: string | null;
      readonly protocol: string;
      readonly trusted: boolean | null;
    }
  /** Could not be reached, or its connection was lost; its claims end in facts of their own. */
  | { readonly type: "machineLost"; readonly machine: MachineId; readonly reason: string; readonly permanent: boolean }
  | { readonly type: "machineLoad"; readonly machine: MachineId; readonly load1: number; readonly cores: number }
  /** Inputs have been sent there: how fast that was. */
  | { readonly type: "machineSent"; readonly machine: MachineId; readonly bytes: number; readonly durationMs: number };

export type ClaimFact =
  | { readonly type: "claimStage"; readonly claim: ClaimId; readonly stage: BuildStage }
  /** The inputs of a build that is compared are there: what it would be compared with. Answered by `buildCompared`. */
  | { readonly type: "claimComparable"; readonly claim: ClaimId; readonly side: MachineSide }
  /** The builder succeeded; the slot is free, the outputs still lie on the machine. */
  | {
      readonly type: "claimBuilt";
      readonly claim: ClaimId;
      readonly durationMs: number;
      /** False when the machine already had the outputs. */
      readonly executed: boolean;
      readonly outputs: readonly BuiltOutput[];
      /** For rounds after the first and for checks: the outputs that differ from the first result. */
      readonly differs: readonly string[];
      /** What Nix says of each of them, with where the other result is kept; empty where that is not known yet. */
      readonly messages: readonly string[];
    }
  /** The answer to `receiveOutputs`: the outputs are valid in the destination store. */
  | { readonly type: "outputsReceived"; readonly claim: ClaimId }
  /** The build, or the machinery around it, failed. What that means is decided from status, kind of derivation and evidence. */
  | {
      readonly type: "claimFailed";
      readonly claim: ClaimId;
      readonly durationMs: number;
      readonly failure: ClaimFailure;
    }
  | { readonly type: "claimCancelled"; readonly claim: ClaimId };

export interface BuiltOutput {
  readonly name: string;
  readonly path: string;
  /** Lower-case hexadecimal SHA-256 of the NAR. */
  readonly narHash: string;
  readonly narSize: bigint;
}

/** Everything that was seen of a failure. */
export interface ClaimFailure {
  /**
   * `build`: the machine answered with a status. `connection`: it did not answer. `crash`: the program that was to answer ended, and only that is
   * known. `transfer`: inputs or outputs did not arrive. `comparison`: nothing can be compared there. `local`: something failed here.
   */
  readonly origin: "build" | "connection" | "crash" | "transfer" | "comparison" | "local";
  /** Null unless origin is `build`. */
  readonly status: BuildStatus | null;
  readonly message: string;
  readonly logTail: readonly string[];
  readonly logFile: string | null;
  readonly keptDirectory: string | null;
  readonly means: MachineMeans;
}

/** What a machine said when it was asked whether a failure that blames it is its own. */
export type MachineMeans =
  /** Nothing blamed it, or there is no way to ask it. */
  | { readonly type: "notAsked" }
  | { readonly type: "noAnswer" }
  /**
   * Free bytes where it builds: the least of the file systems of store and temporary directories. That it answers says that it can start
   * processes.
   */
  | { readonly type: "answered"; readonly freeBytes: number };

export type HookFact =
  | { readonly type: "hookStarted"; readonly hook: HookId; readonly attempt: number }
  | { readonly type: "hookEnded"; readonly hook: HookId; readonly failure: string | null; readonly durationMs: number };

/** A request of the user interface as a fact: `request` is its id. Hooks that run beside the builds are asked for elsewhere. */
type AsFact<Request> = Request extends { readonly id: RequestId; readonly type: "stop" | "retryHook" | "retryHooks" }
  ? never
  : Request extends { readonly id: RequestId }
    ? Omit<Request, "id"> & { readonly request: RequestId }
    : never;

/** What a user asked for; `request` is answered by a `requestAnswered` event. */
export type RequestFact =
  | AsFact<EngineRequest>
  /** `request` is null when a signal asked. */
  | { readonly type: "stop"; readonly request: RequestId | null; readonly how: StopHow; readonly reason: string };
