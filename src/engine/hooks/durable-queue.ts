// Runs hooks and uploads beside the builds: starts what the queue says, tells of it in events, keeps it on disk, drains it at the end.
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { HookEvent } from "../events/event.ts";
import type { GoalId, HookId } from "../events/ids.ts";
import type { StorePath } from "../formats/store-path.ts";
import { type HookJob, type JobFailure, JobQueue, type QueueRules } from "./queue.ts";
import type { QueueFile } from "./queue-file.ts";

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
  readonly notice: (message: string) => void;
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

/** How it stands at the end. */
export interface Drained {
  readonly done: number;
  /** Given up after all tries; they are still queued for the next run. */
  readonly failed: number;
  /** Not tried to the end: the time was over, or the user wanted to leave. */
  readonly left: number;
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

  /** Takes up at once what earlier runs left. */
  constructor(options: DurableQueueOptions) {
    this.#options = options;
    this.#queue = new JobQueue(options.rules);
    const { left } = options.file;
    if (left.length > 0)
      options.notice(
        `${count(left.length, "hook")} of an earlier run ${left.length === 1 ? "is" : "are"} taken up again`,
      );
    for (const job of left) this.#enqueue(job, false);
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
      const id = `${this.#options.runId}-${++this.#count}` as HookId;
      this.#enqueue({ id, kind, drvPath, paths, target, store: this.#options.store }, true);
    }
  }

  /** Tries one again that failed, or that waits for its next try; says why not when it cannot be. */
  retry(id: HookId): string | null {
    if (!this.#queue.retry(id)) return "this hook has not failed";
    this.#tellQueued(id);
    this.#proceed();
    return null;
  }

  /** The same for all; says how many there were. */
  retryAll(): number {
    const jobs = this.#queue.retryAll();
    for (const job of jobs) this.#tellQueued(job.id);
    this.#proceed();
    return jobs.length;
  }

  /** What is not done, by state. */
  counts(): ReturnType<JobQueue["counts"]> {
    return this.#queue.counts();
  }

  /**
   * Waits until everything is done or given up, or `deadlineMs` are over (0: however long it takes), or the signal is aborted; what runs then is
   * ended. Everything that is not done stays on disk for the next run.
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
        const { failed } = this.#queue.counts();
        isAgain = !over && failed > 0 && (await hold(failed));
      }
    } finally {
      signal.removeEventListener("abort", end);
    }
    await this.#stop(
      over ? (signal.aborted ? "the run was ended" : `not done ${deadlineMs / 1000} seconds after the last build`) : "",
    );
    const { queued, retrying, failed } = this.#queue.counts();
    return { done: this.#done, failed, left: queued + retrying };
  }

  /** Ends what runs; what is not done stays on disk. May be called twice. */
  async close(): Promise<void> {
    await this.#stop("the run was ended");
    this.#options.file.close();
  }

  #enqueue(job: HookJob, isNew: boolean): void {
    const { publish, file, keep } = this.#options;
    this.#expected += 1;
    if (isNew) file.add(job);
    publish({
      type: "hookQueued",
      hook: job.id,
      kind: job.kind,
      goal: job.drvPath as string as GoalId,
      paths: job.paths,
    });
    if (isNew) void keep(job).catch(() => undefined);
    const add = async (): Promise<void> => {
      const references = await this.#options.referencesOf(job.paths).catch(() => new Set<StorePath>());
      this.#expected -= 1;
      if (this.#queue.add(job, references)) this.#proceed();
      else this.#finish(job);
    };
    this.#adding = this.#adding.then(add);
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
    const { clock, publish, perform } = this.#options;
    const abort = new AbortController();
    const startedAt = clock.now();
    publish({ type: "hookStarted", hook: job.id, attempt });
    const logged = (lines: readonly string[]): void => publish({ type: "hookLogged", hook: job.id, lines });
    const ended = perform(job, logged, abort.signal)
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
    const { clock, publish } = this.#options;
    const verdict = this.#queue.ended(job.id, failure, clock.now());
    switch (verdict.type) {
      case "succeeded":
        this.#done += 1;
        this.#finish(job);
        publish({ type: "hookFinished", hook: job.id, result: { type: "succeeded", durationMs } });
        return;
      case "willRetry": {
        const at = clock.wallTime() + (verdict.at - clock.now());
        publish({
          type: "hookFinished",
          hook: job.id,
          result: { type: "willRetry", reason: failure?.reason ?? "", at },
        });
        return;
      }
      case "failed":
        publish({ type: "hookFinished", hook: job.id, result: { type: "failed", reason: failure?.reason ?? "" } });
    }
  }

  #finish(job: HookJob): void {
    this.#options.file.done(job.id);
    void this.#options.letGo(job).catch(() => undefined);
  }

  #tellQueued(id: HookId): void {
    const job = this.#queue.jobs().find((other) => other.id === id);
    if (job === undefined) return;
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
      if (this.#queue.stateOf(id)?.type === "failed") continue;
      this.#options.publish({ type: "hookFinished", hook: id, result: { type: "left", reason } });
    }
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  #settledOr(over: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!over() && (this.#expected > 0 || !this.#queue.settled)) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
