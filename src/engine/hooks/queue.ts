// The queue of hooks and uploads as a value: what may start now, what must wait for what, when to try again. It does nothing itself.
import type { HookId } from "../events/ids.ts";
import type { StorePath } from "../formats/store-path.ts";

/** Something to do for one build, in this run or a later one. */
export interface HookJob {
  readonly id: HookId;
  readonly kind: "postBuild" | "upload";
  readonly drvPath: StorePath;
  /** The outputs of the build. */
  readonly paths: readonly StorePath[];
  /** The program, or the URI of the store to copy to. */
  readonly target: string;
  /** The store the paths are in, as `--store` takes it. */
  readonly store: string;
}

export type JobState =
  | { readonly type: "queued" }
  | { readonly type: "running"; readonly attempt: number }
  /** `at` is ms of the clock handed in. */
  | { readonly type: "retrying"; readonly attempt: number; readonly at: number; readonly reason: string }
  | { readonly type: "failed"; readonly attempts: number; readonly reason: string };

/** Why a try failed. What is `passing` (no network) is tried again however often: waiting is all it needs. */
export interface JobFailure {
  readonly reason: string;
  readonly passing: boolean;
}

/** What the end of a try means. */
export type JobVerdict =
  | { readonly type: "succeeded" }
  | { readonly type: "willRetry"; readonly at: number }
  | { readonly type: "failed" };

export interface QueueRules {
  /** Jobs at once. */
  readonly workers: number;
  /** Further tries after the first. */
  readonly retries: number;
  /** Waits between tries in ms: they double from the first to the longest, half of each drawn at random. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

interface Entry {
  readonly job: HookJob;
  /** Jobs for what this one's paths refer to: they go first. */
  readonly after: ReadonlySet<HookId>;
  state: JobState;
}

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
   */
  add(job: HookJob, references: ReadonlySet<StorePath>): boolean {
    const after = new Set<HookId>();
    for (const { job: other } of this.#entries.values()) {
      if (other.kind !== job.kind || other.target !== job.target) continue;
      if (other.drvPath === job.drvPath && other.store === job.store) return false;
      if (other.paths.some((path) => references.has(path) && !job.paths.includes(path))) after.add(other.id);
    }
    this.#entries.set(job.id, { job, after, state: { type: "queued" } });
    return true;
  }

  /** Jobs to start now; they count as running from here on. */
  start(now: number): { readonly job: HookJob; readonly attempt: number }[] {
    const started: { job: HookJob; attempt: number }[] = [];
    let free = this.#rules.workers - this.counts().running;
    for (const entry of this.#entries.values()) {
      if (free <= 0) break;
      const attempt = this.#dueAttempt(entry, now);
      if (attempt === null || this.#waits(entry)) continue;
      entry.state = { type: "running", attempt };
      started.push({ job: entry.job, attempt });
      free -= 1;
    }
    return started;
  }

  /** A try ended. @param failure null when it went well */
  ended(id: HookId, failure: JobFailure | null, now: number): JobVerdict {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.state.type !== "running") return { type: "succeeded" };
    if (failure === null) {
      this.#entries.delete(id);
      return { type: "succeeded" };
    }
    const { attempt } = entry.state;
    const { reason, passing } = failure;
    if (!passing && attempt > this.#rules.retries) {
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

  /** Has a failed or waiting job tried again at once; says whether there was one. Its tries begin anew. */
  retry(id: HookId): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || (entry.state.type !== "failed" && entry.state.type !== "retrying")) return false;
    entry.state = { type: "queued" };
    return true;
  }

  /** The same for all of them. */
  retryAll(): HookJob[] {
    return this.jobs().filter((job) => this.retry(job.id));
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

  counts(): { readonly queued: number; readonly running: number; readonly retrying: number; readonly failed: number } {
    const counts = { queued: 0, running: 0, retrying: 0, failed: 0 };
    for (const { state } of this.#entries.values()) counts[state.type] += 1;
    return counts;
  }

  /** Whether nothing is left that would end by itself. */
  get settled(): boolean {
    const { queued, running, retrying } = this.counts();
    return queued + running + retrying === 0;
  }

  #dueAttempt({ state }: Entry, now: number): number | null {
    if (state.type === "queued") return 1;
    return state.type === "retrying" && state.at <= now ? state.attempt + 1 : null;
  }

  /** A job whose predecessor has failed for good goes ahead: it may well succeed, and says so if not. */
  #waits({ after }: Entry): boolean {
    for (const id of after) {
      const before = this.#entries.get(id);
      if (before !== undefined && before.state.type !== "failed") return true;
    }
    return false;
  }

  #wait(attempt: number): number {
    const { firstWaitMs, longestWaitMs, random } = this.#rules;
    const full = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempt - 1, 40));
    return Math.round(full / 2 + (full / 2) * random());
  }
}
