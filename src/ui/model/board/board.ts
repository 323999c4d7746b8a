// The state every renderer shows: what the events of one run add up to. Updated in place by `reduce`, and by nothing else.
import type {
  BuildEnd,
  BuildFailure,
  BuildStage,
  Estimate,
  GoalDescription,
  GoalResult,
  HookKind,
  MachineDescription,
  MachineState,
  RunOutcome,
  RunStage,
  StopHow,
  WaitingReason,
} from "../../../engine/events/event.ts";
import type { ClaimId, CopyId, GoalId, HookId, MachineId, RequestId } from "../../../engine/events/ids.ts";
import type { LogBuffer } from "./log-buffer.ts";
import type { Meter } from "./meter.ts";

/** Times are wall time in ms since 1970. */
export interface Board {
  /** Raised by every event. */
  revision: number;
  /** Raised when a goal is added: lists of goals are made anew. */
  goalsRevision: number;
  run: RunState;
  stage: { readonly stage: RunStage; readonly detail: string; readonly since: number } | null;
  startedAt: number | null;
  lastAt: number;
  isPaused: boolean;
  estimate: { readonly remaining: Estimate; readonly at: number } | null;
  readonly goals: Map<GoalId, Goal>;
  /** In the order they were learned of. */
  readonly goalOrder: Goal[];
  readonly tally: Tally;
  /** Cells of the column of names: what was built or failed fits, in steps, and it never becomes narrower, or every row would jump. */
  nameCells: number;
  /** Goals whose named input was not learned of yet, by that input. */
  readonly unlinked: Map<GoalId, Goal[]>;
  /** Claims that hold a slot. */
  readonly builds: Map<ClaimId, Build>;
  readonly machines: Map<MachineId, Machine>;
  /** Ended builds whose logs are still kept, oldest first. */
  readonly keptLogs: EndedBuild[];
  /** Transfers under way. */
  readonly copies: Map<CopyId, Copy>;
  /** Hooks not yet settled, and those that failed or were left. */
  readonly hooks: Map<HookId, Hook>;
  readonly hookTally: Record<HookState["type"], number>;
  /** Goals that failed, oldest first. */
  readonly failures: Set<Goal>;
  /** Goals built more than once or checked, in the order they began to be. */
  readonly compared: Set<Goal>;
  /** The newest notices, oldest first, and how many there were. */
  readonly notices: Notice[];
  noticeCount: number;
  /** The newest answers to requests, oldest first. */
  readonly answers: Answer[];
  answerCount: number;
}

/** Whether nothing goes on any more: the run has ended, or waits for the user. */
export function isAtRest(run: RunState): run is Extract<RunState, { type: "held" | "finished" }> {
  return run.type === "held" || run.type === "finished";
}

/** Queued hooks and uploads that failed or wait for their next try. A diff hook is not tried again. */
export function failedHooks(board: Board): number {
  if (board.hookTally.failed + board.hookTally.retrying === 0) return 0;
  const isFailed = ({ kind, state }: Hook): boolean =>
    kind !== "diff" && (state.type === "failed" || state.type === "retrying");
  return [...board.hooks.values()].filter(isFailed).length;
}

export type RunState =
  | { readonly type: "notStarted" }
  | { readonly type: "running"; readonly info: RunInfo }
  | { readonly type: "stopping"; readonly info: RunInfo; readonly how: StopHow; readonly reason: string }
  /** Over, but for what the user may want tried again. */
  | { readonly type: "held"; readonly info: RunInfo; readonly exitStatus: number; readonly at: number }
  | { readonly type: "finished"; readonly info: RunInfo; readonly outcome: RunOutcome; readonly at: number };

export interface RunInfo {
  readonly runId: string;
  readonly program: string;
  readonly store: string;
  readonly policy: string;
  readonly keepGoing: boolean;
  readonly rounds: number;
}

/** A goal with everything that happened to it. */
export interface Goal {
  readonly id: GoalId;
  description: GoalDescription;
  /** Place in the order of the plan. */
  readonly index: number;
  /** Goals that wait for this one. */
  readonly dependants: Goal[];
  state: GoalState;
  /** Bytes fetched from substituters, over all tries. */
  downloadedBytes: number;
  /** Claims that run now, oldest first. */
  claims: readonly Build[];
  /** What it waits for once its running claims have ended (another round may wait while one runs). */
  deferredReason: WaitingReason | null;
  /** The last execution that ended, with what is left of its log. */
  lastBuild: EndedBuild | null;
  /** Executions so far. */
  executions: number;
  rounds: readonly RoundRecord[];
  differences: readonly Difference[];
  /** What the diff hook printed of them; null when it has printed nothing. */
  diffLog: LogBuffer | null;
}

export type GoalState =
  /** Nothing is known but its name. */
  | { readonly type: "planned"; readonly since: number }
  | { readonly type: "waiting"; readonly since: number; readonly reason: WaitingReason }
  | {
      readonly type: "substituting";
      readonly since: number;
      readonly from: string;
      readonly doneBytes: number;
      readonly expectedBytes: number;
    }
  | { readonly type: "building"; readonly since: number }
  | { readonly type: "finished"; readonly at: number; readonly result: GoalResult };

/** One execution of a goal on a slot. */
export interface Build {
  readonly claim: ClaimId;
  readonly goal: Goal;
  readonly machine: MachineId;
  readonly slot: number;
  readonly attempt: number;
  readonly round: number;
  readonly rounds: number;
  readonly isCheck: boolean;
  readonly expectedMs: number | null;
  readonly explanation: string;
  readonly assignedAt: number;
  stage: { readonly stage: BuildStage; readonly since: number };
  phase: { readonly name: string; readonly since: number } | null;
  readonly log: LogBuffer;
  /** Where the whole log is kept on disk, null as long as nothing was logged. */
  logFile: string | null;
  lastLogAt: number | null;
  /** A line of the log that stays for a second, so that it can be read while the log runs. */
  glimpse: { readonly line: string; readonly at: number } | null;
}

export interface EndedBuild {
  readonly build: Build;
  readonly at: number;
  readonly durationMs: number;
  readonly result: BuildEnd;
}

export interface RoundRecord {
  readonly round: number;
  readonly rounds: number;
  readonly machine: MachineId;
  readonly verdict: "first" | "same" | "differs";
}

export interface Difference {
  readonly output: string;
  readonly firstPath: string;
  readonly otherPath: string | null;
  readonly round: number;
  readonly firstMachine: MachineId;
  readonly otherMachine: MachineId;
  readonly summary: readonly string[];
}

export interface Machine {
  readonly id: MachineId;
  description: MachineDescription;
  state: MachineState;
  stateSince: number;
  /** Slots it has now: changes while running. */
  slots: number;
  /** One entry a slot, by slot number; longer than `slots` while a surplus slot is still busy. */
  readonly lanes: Lane[];
  busy: number;
  identity: { readonly nixVersion: string | null; readonly protocol: string; readonly trusted: boolean | null } | null;
  usage: Usage;
  /** Bytes sent to it and fetched from it. */
  readonly up: Meter;
  readonly down: Meter;
  done: { built: number; failed: number; totalMs: number };
}

/** A slot's row. */
export type Lane =
  | { readonly type: "idle" }
  | { readonly type: "busy"; readonly build: Build }
  | { readonly type: "ended"; readonly ended: EndedBuild };

export type Usage =
  | { readonly type: "unknown" }
  | { readonly type: "unavailable"; readonly reason: string }
  | {
      readonly type: "sampled";
      readonly at: number;
      /** The same for machines that are one host; null where that is not known. */
      readonly host: string | null;
      /** Share of each core in use, 0 to 1. */
      readonly cores: readonly number[];
      /** Cores in use, and the same averaged over about ten samples. */
      readonly busyCores: number;
      readonly averageBusyCores: number;
      readonly load1: number;
      readonly memoryUsed: number;
      readonly memoryTotal: number;
      readonly samples: number;
    };

export interface Copy {
  readonly id: CopyId;
  readonly direction: "upload" | "download";
  readonly machine: MachineId;
  readonly claim: ClaimId | null;
  readonly paths: number;
  readonly expectedBytes: number;
  readonly startedAt: number;
  doneBytes: number;
}

export interface Hook {
  readonly id: HookId;
  readonly kind: HookKind;
  readonly goal: GoalId;
  readonly paths: readonly string[];
  state: HookState;
  readonly log: LogBuffer;
}

export type HookState =
  | { readonly type: "queued"; readonly since: number }
  | { readonly type: "running"; readonly since: number; readonly attempt: number }
  | { readonly type: "retrying"; readonly reason: string; readonly at: number }
  | { readonly type: "succeeded"; readonly durationMs: number }
  | { readonly type: "failed"; readonly reason: string; readonly at: number }
  | { readonly type: "left"; readonly reason: string }
  | { readonly type: "givenUp"; readonly reason: string; readonly attempts: number }
  | { readonly type: "dropped"; readonly reason: string };

export interface Notice {
  readonly at: number;
  readonly level: "info" | "warning" | "error";
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly machine: MachineId | null;
  readonly goal: GoalId | null;
}

export interface Answer {
  readonly at: number;
  readonly request: RequestId;
  readonly done: boolean;
  readonly message: string;
}

/** What a goal is counted under. */
export type GoalStatus = "planned" | "waiting" | "substituting" | "building" | GoalResult["type"];

export const GOAL_STATUSES = [
  "planned",
  "waiting",
  "substituting",
  "building",
  "built",
  "substituted",
  "alreadyValid",
  "failed",
  "cancelled",
  "notBuilt",
] as const satisfies readonly GoalStatus[];

export type WaitingType = WaitingReason["type"];

export interface Tally {
  readonly byStatus: Readonly<Record<GoalDescription["kind"], Record<GoalStatus, number>>>;
  /** Goals that wait, by what they wait for in words, in the order they began to. */
  readonly waiting: Map<string, WaitingGroup>;
  downloadedBytes: number;
}

/** Goals that wait for the same thing. */
export interface WaitingGroup {
  /** `for a slot with kvm`. */
  readonly label: string;
  readonly type: WaitingType;
  readonly goals: Set<Goal>;
}

/** Cells of the column of names before anything has a name. */
const NARROWEST_NAMES = 16;

/** A board before the first event. */
export function createBoard(): Board {
  return {
    revision: 0,
    goalsRevision: 0,
    run: { type: "notStarted" },
    stage: null,
    startedAt: null,
    lastAt: 0,
    isPaused: false,
    estimate: null,
    goals: new Map(),
    goalOrder: [],
    tally: createTally(),
    nameCells: NARROWEST_NAMES,
    unlinked: new Map(),
    builds: new Map(),
    keptLogs: [],
    machines: new Map(),
    copies: new Map(),
    hooks: new Map(),
    hookTally: { queued: 0, running: 0, retrying: 0, succeeded: 0, failed: 0, left: 0, givenUp: 0, dropped: 0 },
    failures: new Set(),
    compared: new Set(),
    notices: [],
    noticeCount: 0,
    answers: [],
    answerCount: 0,
  };
}

/** The failure of a goal that failed, else null. */
export function failureOf(goal: Goal): BuildFailure | null {
  return goal.state.type === "finished" && goal.state.result.type === "failed" ? goal.state.result.failure : null;
}

function createTally(): Tally {
  return { byStatus: { derivation: zeros(), path: zeros() }, waiting: new Map(), downloadedBytes: 0 };
}

function zeros(): Record<GoalStatus, number> {
  return {
    planned: 0,
    waiting: 0,
    substituting: 0,
    building: 0,
    built: 0,
    substituted: 0,
    alreadyValid: 0,
    failed: 0,
    cancelled: 0,
    notBuilt: 0,
  };
}

/** Whether it is decided elsewhere what is built: no key can change anything. */
export function isWatched(board: Board): boolean {
  return board.run.type !== "notStarted" && board.run.info.policy === "watched";
}
