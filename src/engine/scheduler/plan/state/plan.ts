// The plan: the scheduler's whole state as one value, and how it begins.

import type { Estimate, StopHow } from "../../../events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId } from "../../../events/ids.ts";
import { DEFAULT_PLAN_OPTIONS, type PlanOptions } from "../options.ts";
import { createLearned, type Learned } from "../policies/learned.ts";
import { Heap } from "../queues/heap.ts";
import type { RandomState } from "./random.ts";
import { type Belief, createBelief, createOutlook, createProgress, type Outlook, type Progress } from "./reckoning.ts";
import type { Claim, Goal, GoalClass, Machine } from "./records.ts";

/** Why nothing starts any more. */
export type Halt =
  /** The user, or a signal, asked. */
  | { readonly type: "stopped"; readonly how: StopHow; readonly reason: string }
  /** A build failed and `keep-going` is off. */
  | { readonly type: "failed"; readonly goal: Goal }
  /** A blocking post-build hook failed. */
  | { readonly type: "hookFailed"; readonly goal: Goal };

export interface QueuedHook {
  readonly hook: HookId;
  readonly goal: Goal;
  readonly claim: ClaimId;
  state: "queued" | "running";
}

/** Something that is due at a time (monotonic ms). */
export interface Timer {
  readonly at: number;
  readonly order: number;
  readonly what:
    | { readonly type: "goal"; readonly goal: Goal }
    | { readonly type: "machine"; readonly machine: Machine };
}

export interface Plan {
  readonly options: PlanOptions;
  readonly random: RandomState;
  readonly goals: Map<GoalId, Goal>;
  /** In the order they were asked for. */
  readonly targets: Goal[];
  readonly machines: Machine[];
  readonly machineById: Map<MachineId, Machine>;
  /** Raised by every change that may alter a match. */
  machineStamp: number;
  /** The machines' state for which goals were checked that no machine can take. */
  checkedStamp: number;
  /** Whether some account may not be given everything. */
  hasUntrusted: boolean;
  readonly classes: Map<string, GoalClass>;
  /** The same as a list. */
  readonly classList: GoalClass[];
  /** The keys of goals inside the queues have changed. */
  queuesChanged: boolean;
  /** Claims of goals that have not ended. */
  readonly claims: Map<ClaimId, Claim>;
  readonly hooks: Map<HookId, QueuedHook>;
  readonly timers: Heap<Timer>;
  readonly learned: Learned;
  readonly belief: Belief;
  /** Substitutions that wait for dispatch to go on. */
  readonly toSubstitute: Goal[];
  /** Goals that joined a queue in this decision and may have to be told why they wait. */
  fresh: Goal[];
  readonly outlook: Outlook;
  complete: boolean;
  paused: boolean;
  halt: Halt | null;
  /** Whether the run is over but for the user, who may still want something tried again; `left` once they do not. */
  hold: "none" | "held" | "left";
  hookFailed: boolean;
  finished: boolean;
  /** Needed goals that have not ended. */
  unfinished: number;
  /** Whether anything happened since the queues were last gone through that may let something start. */
  stirred: boolean;
  /** What a pass over the queues must look at: everything, or only slots that became free since the last one. */
  review: "freed" | "all";
  /** When a machine that is waited for should be free (monotonic ms): if it is not, the choice is made anew. */
  reviewAt: number;
  startedAt: number | null;
  /** The time of the last `wakeAt` (monotonic ms), null when it has passed. */
  wakeAt: number | null;
  readonly progress: Progress;
  estimate: Estimate | null;
  estimatedAt: number;
  counts: {
    claims: number;
    hooks: number;
    goals: number;
    timers: number;
    boosts: number;
    passes: number;
    marks: number;
  };
}

/** An empty plan. Options left out have the defaults of {@link DEFAULT_PLAN_OPTIONS}. */
export function createPlan(options: Partial<PlanOptions> = {}): Plan {
  const whole = { ...DEFAULT_PLAN_OPTIONS, ...options };
  return {
    options: whole,
    random: { value: whole.seed >>> 0 },
    goals: new Map(),
    targets: [],
    machines: [],
    machineById: new Map(),
    machineStamp: 0,
    checkedStamp: -1,
    hasUntrusted: false,
    classes: new Map(),
    classList: [],
    queuesChanged: false,
    claims: new Map(),
    hooks: new Map(),
    timers: new Heap((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order)),
    learned: createLearned(),
    belief: createBelief(),
    toSubstitute: [],
    fresh: [],
    outlook: createOutlook(),
    complete: false,
    paused: false,
    halt: null,
    hold: "none",
    hookFailed: false,
    finished: false,
    unfinished: 0,
    stirred: false,
    review: "all",
    reviewAt: Number.POSITIVE_INFINITY,
    startedAt: null,
    wakeAt: null,
    progress: createProgress(),
    estimate: null,
    estimatedAt: Number.NEGATIVE_INFINITY,
    counts: { claims: 0, hooks: 0, goals: 0, timers: 0, boosts: 0, passes: 0, marks: 0 },
  };
}

/** The queues must be gone through with every slot. */
export function reviewAll(plan: Plan): void {
  plan.stirred = true;
  plan.review = "all";
}

/** How long the oldest work on a machine has gone on (ms), outputs on their way included; 0 when there is none. `now` is monotonic. */
export function oldestClaimMs(plan: Plan, machine: MachineId, now: number): number {
  let longest = 0;
  for (const claim of plan.claims.values()) {
    if (claim.machine.id !== machine || claim.state.type === "ended") continue;
    longest = Math.max(longest, now - claim.startedAt);
  }
  return longest;
}
