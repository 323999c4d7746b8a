// The queue of hooks and uploads as a value: what may start now, what must wait for what, when to try again. It does nothing itself.
import type { HookId } from "../../events/ids.ts";
import type { StorePath } from "../../formats/store-path.ts";

/** Something to do for one build, in this run or a later one. */
export interface HookJob {
  readonly id: HookId;
  readonly kind: "postBuild" | "upload";
  readonly drvPath: StorePath;
  /** The outputs of the build. */
  readonly paths: readonly StorePath[];
  /** The program, or the URI of the store to copy to, without what is secret in it. */
  readonly target: string;
  /** The store the paths are in, as `--store` takes it, without what is secret in it. */
  readonly store: string;
}

export type JobState =
  | { readonly type: "queued" }
  | { readonly type: "running"; readonly attempt: number }
  /** `at` is ms of the clock handed in. */
  | { readonly type: "retrying"; readonly attempt: number; readonly at: number; readonly reason: string }
  /** Not tried again in this run. */
  | { readonly type: "failed"; readonly attempts: number; readonly reason: string }
  /** Not tried again by any run, unless the user says so. */
  | { readonly type: "givenUp"; readonly attempts: number; readonly reason: string };

/** Why a try failed. What is `passing` (no network) is tried again however often: waiting is all it needs. */
export interface JobFailure {
  readonly reason: string;
  readonly passing: boolean;
  /** Trying again is of no use: in this `run` (something only the user can give is missing), or for `ever` (the paths are gone). */
  readonly uselessFor?: "run" | "ever";
}

/** What the end of a try means. */
export type JobVerdict =
  | { readonly type: "succeeded" }
  | { readonly type: "willRetry"; readonly at: number }
  | { readonly type: "failed" }
  | { readonly type: "givenUp" }
  | { readonly type: "dropped" };

export interface QueueRules {
  /** Jobs at once. */
  readonly workers: number;
  /** Further tries after the first, in one run. */
  readonly retries: number;
  /** Waits between tries in ms: they double from the first to the longest, half of each drawn at random. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** Failed tries of all runs together after which a job is given up that another run made, and its age then, in ms. */
  readonly triesOfAllRuns: number;
  readonly longestAgeMs: number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** What earlier runs had of a job; nothing for a job of this run. */
export interface JobPast {
  /** Failed tries over all runs, those not counted that only needed waiting. */
  readonly attempts: number;
  /** When the job was made, ms of the clock handed in, which may lie before its beginning. */
  readonly bornAt: number;
  /** Why the last try failed, null when none has. */
  readonly reason: string | null;
  readonly isGivenUp: boolean;
}

interface Entry {
  readonly job: HookJob;
  /** Jobs for what this one's paths refer to: they go first. */
  readonly after: ReadonlySet<HookId>;
  /** An earlier run made it: this one tries it, and does not answer for it. */
  isEarlier: boolean;
  attempts: number;
  bornAt: number;
  state: JobState;
}

/** Jobs by state. */
export type JobCounts = Readonly<Record<JobState["type"], number>>;

/** The jobs that are not done. Times are ms of whatever clock the caller uses. */
export class JobQueue {
  readonly #rules: QueueRules;
  readonly #entries = new Map<HookId, Entry>();

  constructor(rules: QueueRules) {
    this.#rules = rules;
  }

  /**
   * Adds a job unless one like it is there already: each build has one job of a kind for a target. Says whether it was added.
   * @param references what the job's paths refer to
   * @param past of a job that an earlier run made; null for one of this run
   */
  add(job: HookJob, references: ReadonlySet<StorePath>, past: JobPast | null = null, now = 0): boolean {
    const after = new Set<HookId>();
    for (const { job: other } of this.#entries.values()) {
      if (isSameJob(other, job)) return false;
      if (other.kind !== job.kind || other.target !== job.target) continue;
      if (other.paths.some((path) => references.has(path) && !job.paths.includes(path))) after.add(other.id);
    }
    const attempts = past?.attempts ?? 0;
    const state: JobState =
      past?.isGivenUp === true ? { type: "givenUp", attempts, reason: past.reason ?? "" } : { type: "queued" };
    this.#entries.set(job.id, { job, after, isEarlier: past !== null, attempts, bornAt: past?.bornAt ?? now, state });
    return true;
  }

  /**
   * Jobs to start now; they count as running from here on. Those of earlier runs get what those of this run leave free, and take nothing of it: one
   * that hangs would otherwise hold them up.
   */
  start(now: number): { readonly job: HookJob; readonly attempt: number }[] {
    const started: { job: HookJob; attempt: number }[] = [];
    const { workers } = this.#rules;
    let own = this.counts("own").running;
    let all = this.counts().running;
    const entries = [...this.#entries.values()];
    for (const entry of [...entries.filter((one) => !one.isEarlier), ...entries.filter((one) => one.isEarlier)]) {
      if (own >= workers || (entry.isEarlier && all >= workers)) break;
      const attempt = this.#dueAttempt(entry, now);
      if (attempt === null || this.#waits(entry)) continue;
      entry.state = { type: "running", attempt };
      started.push({ job: entry.job, attempt });
      all += 1;
      if (!entry.isEarlier) own += 1;
    }
    return started;
  }

  /** A try ended. @param failure null when it went well */
  ended(id: HookId, failure: JobFailure | null, now: number): JobVerdict {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.state.type !== "running") return { type: "succeeded" };
    if (failure === null || failure.uselessFor === "ever") {
      this.#entries.delete(id);
      return { type: failure === null ? "succeeded" : "dropped" };
    }
    const { attempt } = entry.state;
    const { reason, passing } = failure;
    if (!passing) entry.attempts += 1;
    const { retries, triesOfAllRuns, longestAgeMs } = this.#rules;
    if (entry.isEarlier && (entry.attempts >= triesOfAllRuns || now - entry.bornAt >= longestAgeMs)) {
      entry.state = { type: "givenUp", attempts: entry.attempts, reason };
      return { type: "givenUp" };
    }
    if (failure.uselessFor === "run" || (!passing && attempt > retries)) {
      entry.state = { type: "failed", attempts: attempt, reason };
      return { type: "failed" };
    }
    const at = now + this.#wait(attempt);
    entry.state = { type: "retrying", attempt, at, reason };
    return { type: "willRetry", at };
  }

  /** Takes a running job back to the queue: it was interrupted, which is no failure. */
  interrupted(id: HookId): void {
    const entry = this.#entries.get(id);
    if (entry?.state.type === "running") entry.state = { type: "queued" };
  }

  /** Has a failed or waiting job tried again at once; says whether there was one. Its tries begin anew, and so does its age. */
  retry(id: HookId, now = 0): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.state.type === "queued" || entry.state.type === "running") return false;
    entry.state = { type: "queued" };
    entry.attempts = 0;
    entry.bornAt = now;
    return true;
  }

  /** The same for all of them. */
  retryAll(now = 0): HookJob[] {
    return this.jobs().filter((job) => this.retry(job.id, now));
  }

  /** This run answers for a job from now on, whoever made it. */
  adopt(id: HookId): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.isEarlier = false;
  }

  /** When the next waiting job is due, null when none waits. */
  nextAt(): number | null {
    let next: number | null = null;
    for (const { state } of this.#entries.values()) {
      if (state.type === "retrying" && (next === null || state.at < next)) next = state.at;
    }
    return next;
  }

  /** Jobs that are not done, in the order they came. */
  jobs(): HookJob[] {
    return [...this.#entries.values()].map(({ job }) => job);
  }

  stateOf(id: HookId): JobState | null {
    return this.#entries.get(id)?.state ?? null;
  }

  isEarlier(id: HookId): boolean {
    return this.#entries.get(id)?.isEarlier ?? false;
  }

  /** Failed tries of a job over all runs. */
  attemptsOf(id: HookId): number {
    return this.#entries.get(id)?.attempts ?? 0;
  }

  /** How many jobs are in which state; `whose` leaves out those of this run, or of earlier ones. */
  counts(whose: "all" | "own" | "earlier" = "all"): JobCounts {
    const counts = { queued: 0, running: 0, retrying: 0, failed: 0, givenUp: 0 };
    for (const { state, isEarlier } of this.#entries.values()) {
      if (whose === "all" || isEarlier === (whose === "earlier")) counts[state.type] += 1;
    }
    return counts;
  }

  /** Whether nothing is left that would end by itself. */
  get settled(): boolean {
    return isSettled(this.counts());
  }

  #dueAttempt({ state }: Entry, now: number): number | null {
    if (state.type === "queued") return 1;
    return state.type === "retrying" && state.at <= now ? state.attempt + 1 : null;
  }

  /**
   * A job whose predecessor has failed for good goes ahead: it may well succeed, and says so if not. Likewise one of this run whose predecessor is an
   * earlier run's: nothing of this run waits for those.
   */
  #waits({ after, isEarlier }: Entry): boolean {
    for (const id of after) {
      const before = this.#entries.get(id);
      if (before === undefined || before.state.type === "failed" || before.state.type === "givenUp") continue;
      if (isEarlier || !before.isEarlier) return true;
    }
    return false;
  }

  #wait(attempt: number): number {
    const { firstWaitMs, longestWaitMs, random } = this.#rules;
    const full = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempt - 1, 40));
    return Math.round(full / 2 + (full / 2) * random());
  }
}

/** Whether nothing of them would end by itself. */
export function isSettled({ queued, running, retrying }: JobCounts): boolean {
  return queued + running + retrying === 0;
}

/** Whether two jobs are one: each build has one of a kind for a target. */
export function isSameJob(one: HookJob, other: HookJob): boolean {
  return (
    one.kind === other.kind && one.target === other.target && one.drvPath === other.drvPath && one.store === other.store
  );
}
