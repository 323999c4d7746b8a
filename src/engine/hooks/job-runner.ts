// Runs hooks and uploads beside the builds: starts what the queue says, tells of it in events, keeps it on disk, drains it at the end.
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { HookEvent } from "../events/event.ts";
import type { GoalId, HookId } from "../events/ids.ts";
import type { StorePath } from "../formats/store-path.ts";
import type { QueueFile } from "./job-files.ts";
import { Grace } from "./jobs/grace.ts";
import { freshRecord, type KeptJob } from "./jobs/job-lines.ts";
import {
  type HookJob,
  isSettled,
  type JobCounts,
  type JobFailure,
  JobQueue,
  type QueueRules,
} from "./jobs/job-queue.ts";
import { KnownJobs } from "./jobs/known-jobs.ts";

/** What is done after each build. */
export interface HookWish {
  readonly kind: HookJob["kind"];
  /** The program, or the URI to copy to. */
  readonly target: string;
}

export interface DurableQueueOptions {
  readonly rules: QueueRules;
  readonly file: QueueFile;
  readonly clock: Clock;
  /** Begins every id, so that jobs of several runs never share one. */
  readonly runId: string;
  /** The store of this run, as `--store` takes it. */
  readonly store: string;
  readonly wishes: readonly HookWish[];
  readonly publish: (event: HookEvent) => void;
  readonly notice: (message: string, hint?: string) => void;
  /** Which jobs of earlier runs this one answers for, as for its own: those it was asked to do. None in a run of builds. */
  readonly isAsked?: (job: HookJob) => boolean;
  /** Jobs of earlier runs that are left alone, as they are. */
  readonly isLeftAlone?: (job: HookJob) => boolean;
  /** What to call the way out of a job that fails for ever. */
  readonly wayOut: string;
  /** Whether the paths of a job of an earlier run are there no more. Must not throw. */
  readonly isGone: (job: HookJob) => Promise<boolean>;
  /** Does one job. Resolves with what is wrong when it failed; rejecting is a failure, too. */
  readonly perform: (
    job: HookJob,
    logged: (lines: readonly string[]) => void,
    signal: AbortSignal,
  ) => Promise<JobFailure | null>;
  /** What paths refer to, as far as that is known. */
  readonly referencesOf: (paths: readonly StorePath[]) => Promise<ReadonlySet<StorePath>>;
  /** Keeps what waits from the garbage collector beyond this run, and lets it go. Must not throw. */
  readonly keep: (job: HookJob) => Promise<void>;
  readonly letGo: (job: HookJob) => Promise<void>;
}

/** How it stands at the end with the jobs this run answers for. */
export interface Drained {
  readonly done: number;
  /** Given up after all tries; they are still queued for the next run. */
  readonly failed: number;
  /** Not tried to the end: the time was over, or the user wanted to leave. */
  readonly left: number;
  /** Jobs of earlier runs that are still not done, those given up not counted. */
  readonly earlier: number;
}

/** The queue of one run. */
export class DurableQueue {
  readonly #options: DurableQueueOptions;
  readonly #queue: JobQueue;
  readonly #running = new Map<HookId, { readonly abort: AbortController; readonly ended: Promise<void> }>();
  readonly #waiters = new Set<() => void>();
  /** Jobs whose references are being asked for: they come in their order. */
  #adding: Promise<void> = Promise.resolve();
  #expected = 0;
  #takeBackWake: () => void = () => undefined;
  #stopped = false;
  #count = 0;
  #done = 0;
  /** Every job that is not done; those whose references are being asked for as well. */
  readonly #known = new KnownJobs();
  readonly #grace: Grace;

  /** Takes up at once what earlier runs left. */
  constructor(options: DurableQueueOptions) {
    this.#options = options;
    this.#queue = new JobQueue(options.rules);
    this.#grace = new Grace(options.clock, () => this.#wake());
    const { file, notice, wayOut } = options;
    let [again, givenUp] = [0, 0];
    for (const kept of file.left) {
      const { job, record } = kept;
      if (options.isLeftAlone?.(job) === true) continue;
      // Two runs that died made the same one.
      if (this.#known.like(job) !== null) {
        file.done(job.id);
        continue;
      }
      const isAsked = options.isAsked?.(job) === true;
      if (record.isGivenUp && !isAsked) givenUp += 1;
      else again += 1;
      this.#enqueue(kept, isAsked ? "asked" : "earlier");
    }
    if (again > 0 && options.isAsked === undefined)
      notice(`${count(again, "hook")} of an earlier run ${again === 1 ? "is" : "are"} taken up again`);
    if (givenUp > 0)
      notice(
        `${count(givenUp, "hook")} of earlier runs ${givenUp === 1 ? "is" : "are"} given up and not tried`,
        wayOut,
      );
  }

  /** A build has been executed: whatever is to be done after it is queued, of the kinds that are wanted for it. */
  built(
    drvPath: StorePath,
    paths: readonly StorePath[],
    isWanted: (kind: HookJob["kind"]) => boolean = () => true,
  ): void {
    if (this.#stopped) return;
    for (const { kind, target } of this.#options.wishes) {
      if (!isWanted(kind)) continue;
      const { runId, store, clock } = this.#options;
      const id = `${runId}-${++this.#count}` as HookId;
      const job: HookJob = { id, kind, drvPath, paths, target, store };
      const known = this.#known.like(job);
      if (known === null) this.#enqueue({ job, record: freshRecord(clock.wallTime()) }, "own");
      // An earlier run's becomes this one's, which built the same and answers for it.
      else this.#adopt(known.id);
    }
  }

  /** Tries one again that failed, or that waits for its next try; says why not when it cannot be. */
  retry(id: HookId): string | null {
    if (!this.#queue.retry(id, this.#options.clock.now())) return "this hook has not failed";
    this.#beginAnew(id);
    this.#proceed();
    return null;
  }

  /** The same for all; says how many there were. */
  retryAll(): number {
    const jobs = this.#queue.retryAll(this.#options.clock.now());
    for (const job of jobs) this.#beginAnew(job.id);
    this.#proceed();
    return jobs.length;
  }

  /** What is not done, by state. */
  counts(whose: "all" | "own" | "earlier" = "all"): JobCounts {
    return this.#queue.counts(whose);
  }

  /**
   * Waits until everything this run answers for is done or given up, or `deadlineMs` are over (0: however long it takes), or the signal is aborted;
   * what runs then is ended. Jobs of earlier runs are waited for as long as they get on, and not for tries to come. Everything that is not done stays
   * on disk for the next run.
   * @param hold asked when all tries of some have failed; true when some of them are tried again, which is then waited for likewise
   */
  async drain(
    deadlineMs: number,
    signal: AbortSignal,
    hold: (failed: number) => Promise<boolean> = async () => false,
  ): Promise<Drained> {
    const { clock } = this.#options;
    let over = signal.aborted;
    const end = (): void => {
      over = true;
      this.#wake();
    };
    signal.addEventListener("abort", end, { once: true });
    try {
      let isAgain = true;
      while (isAgain) {
        const takeBack = deadlineMs > 0 ? clock.after(deadlineMs, end) : () => undefined;
        await this.#settledOr(() => over);
        takeBack();
        this.#grace.end();
        const { failed } = this.#queue.counts("own");
        isAgain = !over && failed > 0 && (await hold(failed));
      }
    } finally {
      signal.removeEventListener("abort", end);
    }
    await this.#stop(
      over ? (signal.aborted ? "the run was ended" : `not done ${deadlineMs / 1000} seconds after the last build`) : "",
    );
    const { queued, retrying, failed } = this.#queue.counts("own");
    const earlier = this.#queue.counts("earlier");
    return {
      done: this.#done,
      failed,
      left: queued + retrying,
      earlier: earlier.queued + earlier.retrying + earlier.failed,
    };
  }

  /** Ends what runs; what is not done stays on disk. May be called twice. */
  async close(): Promise<void> {
    await this.#stop("the run was ended");
    this.#options.file.close();
  }

  #enqueue(kept: KeptJob, whose: "own" | "asked" | "earlier"): void {
    const { file, keep, clock, publish } = this.#options;
    const { job, record } = kept;
    const isGivenUp = record.isGivenUp && whose === "earlier";
    const since = whose === "asked" ? clock.wallTime() : (record.since ?? clock.wallTime());
    this.#known.add(job, since);
    this.#expected += 1;
    if (whose === "own") file.add(kept);
    // What an older program wrote carries no age: it counts from now on.
    else if (record.since === null || whose === "asked") file.tried(job.id, freshRecord(clock.wallTime()));
    this.#tellQueued(job.id);
    if (isGivenUp) {
      const result = { type: "givenUp", reason: record.reason ?? "", attempts: record.attempts } as const;
      publish({ type: "hookFinished", hook: job.id, result });
    }
    if (whose === "own") void keep(job).catch(() => undefined);
    const bornAt = clock.now() - (clock.wallTime() - since);
    const past = whose === "earlier" ? { ...record, bornAt, isGivenUp } : null;
    const add = async (): Promise<void> => {
      const references = await this.#options.referencesOf(job.paths).catch(() => new Set<StorePath>());
      this.#expected -= 1;
      this.#queue.add(job, references, past, clock.now());
      this.#proceed();
    };
    this.#adding = this.#adding.then(add);
  }

  #adopt(id: HookId): void {
    this.#expected += 1;
    this.#adding = this.#adding.then(() => {
      this.#expected -= 1;
      if (this.#queue.isEarlier(id)) {
        this.#queue.adopt(id);
        this.retry(id);
      }
      this.#wake();
    });
  }

  #proceed(): void {
    const { clock } = this.#options;
    this.#takeBackWake();
    if (!this.#stopped) {
      for (const { job, attempt } of this.#queue.start(clock.now())) this.#run(job, attempt);
      const next = this.#queue.nextAt();
      if (next !== null) this.#takeBackWake = clock.after(Math.max(0, next - clock.now()), () => this.#proceed());
    }
    this.#wake();
  }

  #run(job: HookJob, attempt: number): void {
    const { clock, publish, perform, isGone } = this.#options;
    const abort = new AbortController();
    const startedAt = clock.now();
    publish({ type: "hookStarted", hook: job.id, attempt });
    const logged = (lines: readonly string[]): void => publish({ type: "hookLogged", hook: job.id, lines });
    const performed = async (): Promise<JobFailure | null> => {
      if (!job.id.startsWith(`${this.#options.runId}-`) && (await isGone(job)))
        return { reason: "its paths are not valid any more", passing: false, uselessFor: "ever" };
      return perform(job, logged, abort.signal);
    };
    const ended = performed()
      .catch((error: unknown): JobFailure => ({ reason: messageOf(error), passing: false }))
      .then((failure) => {
        this.#running.delete(job.id);
        // What was cut short says nothing about whether it would have worked, unless it has.
        if (abort.signal.aborted && failure !== null) this.#queue.interrupted(job.id);
        else this.#end(job, failure, clock.now() - startedAt);
        this.#proceed();
      });
    this.#running.set(job.id, { abort, ended });
  }

  #end(job: HookJob, failure: JobFailure | null, durationMs: number): void {
    const { clock, publish, notice, wayOut } = this.#options;
    const isEarlier = this.#queue.isEarlier(job.id);
    const verdict = this.#queue.ended(job.id, failure, clock.now());
    const reason = failure?.reason ?? "";
    const tell = (result: Extract<HookEvent, { type: "hookFinished" }>["result"]): void =>
      publish({ type: "hookFinished", hook: job.id, result });
    if (failure !== null) this.#known.failed(job.id, reason);
    switch (verdict.type) {
      case "succeeded":
        if (!isEarlier) this.#done += 1;
        else this.#grace.renew();
        this.#finish(job);
        tell({ type: "succeeded", durationMs });
        return;
      case "willRetry": {
        const at = clock.wallTime() + (verdict.at - clock.now());
        this.#remember(job.id, at, false);
        tell({ type: "willRetry", reason, at });
        return;
      }
      case "failed":
        this.#remember(job.id, null, false);
        // Whose it is not does not fail for it.
        tell(isEarlier ? { type: "left", reason } : { type: "failed", reason });
        return;
      case "givenUp": {
        this.#remember(job.id, null, true);
        const attempts = this.#queue.attemptsOf(job.id);
        tell({ type: "givenUp", reason, attempts });
        notice(`${nameOf(job)} is given up after ${attempts === 1 ? "1 try" : `${attempts} tries`}: ${reason}`, wayOut);
        return;
      }
      case "dropped":
        this.#finish(job);
        tell({ type: "dropped", reason });
        notice(`${nameOf(job)} is dropped: ${reason}`);
    }
  }

  #finish(job: HookJob): void {
    this.#known.delete(job.id);
    this.#options.file.done(job.id);
    void this.#options.letGo(job).catch(() => undefined);
  }

  /** Writes down how it goes with a job. */
  #remember(id: HookId, nextAt: number | null, isGivenUp: boolean): void {
    const at = this.#options.clock.wallTime();
    const record = this.#known.record(id, at, this.#queue.attemptsOf(id), nextAt, isGivenUp);
    this.#options.file.tried(id, record);
  }

  /** The user wants it tried again: its tries and its age begin anew. */
  #beginAnew(id: HookId): void {
    this.#known.beginAnew(id, this.#options.clock.wallTime());
    this.#remember(id, null, false);
    this.#tellQueued(id);
  }

  #tellQueued(id: HookId): void {
    const job = this.#known.get(id);
    if (job === null) return;
    const goal = job.drvPath as string as GoalId;
    this.#options.publish({ type: "hookQueued", hook: id, kind: job.kind, goal, paths: job.paths });
  }

  async #stop(reason: string): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#takeBackWake();
    const running = [...this.#running.values()];
    for (const { abort } of running) abort.abort(new Error(reason));
    await Promise.all(running.map(({ ended }) => ended));
    await this.#adding;
    for (const { id } of this.#queue.jobs()) {
      const state = this.#queue.stateOf(id)?.type;
      if (state === "failed" || state === "givenUp") continue;
      // The next run does not know of a wait that nobody keeps.
      if (state === "retrying") this.#remember(id, null, false);
      this.#options.publish({ type: "hookFinished", hook: id, result: { type: "left", reason } });
    }
  }

  /** Whether nothing is left to wait for: of this run, and of earlier ones. */
  #isSettled(): boolean {
    if (this.#expected > 0 || !isSettled(this.#queue.counts("own"))) return false;
    const { queued, running } = this.#queue.counts("earlier");
    return queued + running === 0 || this.#grace.isOver();
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  #settledOr(over: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!over() && !this.#isSettled()) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }
}

function nameOf(job: HookJob): string {
  return job.kind === "upload"
    ? `the upload of '${job.drvPath}' to '${job.target}'`
    : `the post-build hook '${job.target}' for '${job.drvPath}'`;
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
