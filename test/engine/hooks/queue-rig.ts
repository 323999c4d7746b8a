// A queue of hooks over files in a folder: its tries end when the test says so, and whatever it tells is kept.
import type { HookEvent } from "../../../src/engine/events/event.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { QueueFile } from "../../../src/engine/hooks/job-files.ts";
import { DurableQueue, type DurableQueueOptions } from "../../../src/engine/hooks/job-runner.ts";
import type { HookJob, QueueRules } from "../../../src/engine/hooks/jobs/job-queue.ts";
import { createFakeClock, type FakeClock } from "../../support/fake-clock.ts";

export const path = (name: string): StorePath => `/nix/store/${"a".repeat(32)}-${name}` as StorePath;
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const RULES: QueueRules = {
  ...{ workers: 2, retries: 1, firstWaitMs: 100, longestWaitMs: 10_000 },
  ...{ triesOfAllRuns: 4, longestAgeMs: 100_000, random: () => 1 },
};

export interface QueueRig {
  readonly queue: DurableQueue;
  readonly clock: FakeClock;
  readonly events: HookEvent[];
  readonly notices: string[];
  readonly kept: string[];
  /** Tries under way, by the name of their path. */
  readonly running: Map<string, { end: (failure: string | null) => void; signal: AbortSignal }>;
  readonly finished: (name: string) => string[];
}

/** The queue of a process, whose tries end when the test says so. */
export function createQueueRig(directory: string, pid: number, changes: Partial<DurableQueueOptions> = {}): QueueRig {
  const clock = createFakeClock();
  const events: HookEvent[] = [];
  const notices: string[] = [];
  const kept: string[] = [];
  const running: QueueRig["running"] = new Map();
  const nameOf = (job: HookJob): string => job.paths[0]!.slice(path("").length);
  const queue = new DurableQueue({
    rules: RULES,
    file: QueueFile.open({ directory, pid, notice: (message) => notices.push(message) }),
    clock,
    runId: `run${pid}`,
    store: "auto",
    wishes: [{ kind: "upload", target: "s3://x" }],
    publish: (event) => events.push(event),
    notice: (message) => notices.push(message),
    perform: (job, logged, signal) =>
      new Promise((resolve) => {
        logged([`doing ${nameOf(job)}`]);
        const name = nameOf(job);
        running.set(name, {
          signal,
          end: (failure) => {
            running.delete(name);
            resolve(failure === null ? null : { reason: failure, passing: false });
          },
        });
        signal.addEventListener("abort", () => {
          running.delete(name);
          resolve({ reason: "cancelled", passing: false });
        });
      }),
    referencesOf: async () => new Set(),
    wayOut: "see the list",
    isGone: async () => false,
    keep: async (job) => void kept.push(`keep ${nameOf(job)}`),
    letGo: async (job) => void kept.push(`let go ${nameOf(job)}`),
    ...changes,
  });
  const finished = (id: string): string[] =>
    events.flatMap((event) => (event.type === "hookFinished" && event.hook === id ? [event.result.type] : []));
  return { queue, clock, events, notices, kept, running, finished };
}

export const build = (queue: DurableQueue, name: string): void => queue.built(path(`${name}.drv`), [path(name)]);
