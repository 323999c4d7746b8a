// What is known of the jobs that are not done beside their state: which they are, when they were made, why they failed last.
import type { HookId } from "../../events/ids.ts";
import type { JobRecord } from "./job-lines.ts";
import { type HookJob, isSameJob } from "./job-queue.ts";

interface Known {
  readonly job: HookJob;
  /** Wall time in ms. */
  since: number;
  reason: string | null;
}

/** The jobs of a queue that are not done. */
export class KnownJobs {
  readonly #known = new Map<HookId, Known>();

  add(job: HookJob, since: number): void {
    this.#known.set(job.id, { job, since, reason: null });
  }

  get(id: HookId): HookJob | null {
    return this.#known.get(id)?.job ?? null;
  }

  /** The job there is already for the same build, of the same kind, for the same target. */
  like(job: HookJob): HookJob | null {
    for (const known of this.#known.values()) if (isSameJob(known.job, job)) return known.job;
    return null;
  }

  delete(id: HookId): void {
    this.#known.delete(id);
  }

  failed(id: HookId, reason: string): void {
    const known = this.#known.get(id);
    if (known !== undefined) known.reason = reason;
  }

  /** The user wants it tried again: its age begins anew. */
  beginAnew(id: HookId, since: number): void {
    const known = this.#known.get(id);
    if (known !== undefined) known.since = since;
  }

  /** What the next run is to know. */
  record(id: HookId, at: number, attempts: number, nextAt: number | null, isGivenUp: boolean): JobRecord {
    const known = this.#known.get(id);
    return { at, since: known?.since ?? at, attempts, reason: known?.reason ?? null, nextAt, isGivenUp };
  }
}
