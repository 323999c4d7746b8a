import { mkdtempSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { HookEvent } from "../../../src/engine/events/event.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { QueueFile } from "../../../src/engine/hooks/job-files.ts";
import type { DurableQueueOptions } from "../../../src/engine/hooks/job-runner.ts";
import type { JobFailure } from "../../../src/engine/hooks/jobs/job-queue.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { build, createQueueRig, path, RULES, turn } from "./queue-rig.ts";

const base = temporaryDirectory("queue-ends");
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(base, "each-"));
});

const ONCE = { ...RULES, retries: 0 };
const never = (): AbortSignal => new AbortController().signal;
const rig = (changes: Partial<DurableQueueOptions> = {}) =>
  createQueueRig(directory, process.pid, { runId: "new", ...changes });

/** A run that built this and died: its file is of another boot. */
async function deadRun(name: string, changes: Partial<DurableQueueOptions> = {}): Promise<void> {
  const { queue } = rig({ runId: "old", ...changes });
  build(queue, name);
  await turn();
  const [file] = readdirSync(directory);
  renameSync(join(directory, file!), join(directory, file!.replace(/^([a-z]+)-[0-9a-f]*-/, "$1-ffffffff-")));
}

const results = (events: readonly HookEvent[]) =>
  events.flatMap((event) => (event.type === "hookFinished" ? [event.result] : []));

describe("a try", () => {
  it("that throws is a failure like any other", async () => {
    const { queue, events } = rig({
      rules: ONCE,
      perform: () => {
        throw new Error("no such program");
      },
    });
    build(queue, "a");
    await turn();
    expect(results(events)).toEqual([{ type: "failed", reason: "no such program" }]);
    expect((await queue.drain(0, never())).failed).toBe(1);
  });

  it("that fails is made again after waits that double, up to the longest, told as wall time", async () => {
    const clock = createFakeClock(1_000_000);
    const { queue, running, events } = rig({ clock, rules: { ...RULES, retries: 3, longestWaitMs: 250 } });
    build(queue, "a");
    await turn();
    for (const wait of [100, 200, 250]) {
      running.get("a")!.end("refused");
      await turn();
      expect(results(events).at(-1)).toEqual({ type: "willRetry", reason: "refused", at: clock.wallTime() + wait });
      clock.advance(wait - 1);
      expect(running.has("a")).toBe(false);
      clock.advance(1);
      expect(running.has("a")).toBe(true);
    }
    running.get("a")!.end("refused");
    await turn();
    expect(results(events).at(-1)).toEqual({ type: "failed", reason: "refused" });
  });

  it("that was cut short and had done its work all the same is done", async () => {
    const { queue, events } = rig({
      perform: (_job, _logged, signal) =>
        new Promise<JobFailure | null>((resolve) => signal.addEventListener("abort", () => resolve(null))),
    });
    build(queue, "a");
    await turn();
    expect(await queue.drain(0, AbortSignal.abort())).toEqual({ done: 1, failed: 0, left: 0, earlier: 0 });
    expect(results(events)).toMatchObject([{ type: "succeeded" }]);
  });

  it("is made although nobody can say what its paths refer to, or keep them", async () => {
    const failing = () => Promise.reject(new Error("the store is gone"));
    const { queue, running } = rig({ referencesOf: failing, keep: failing, letGo: failing });
    build(queue, "a");
    await turn();
    running.get("a")!.end(null);
    expect((await queue.drain(0, never())).done).toBe(1);
  });

  it("is made of those kinds only that are wanted for a build", async () => {
    const wishes = [
      { kind: "postBuild", target: "/bin/hook" },
      { kind: "upload", target: "s3://x" },
    ] as const;
    const { queue, events } = rig({ wishes });
    queue.built(path("a.drv"), [path("a")], (kind) => kind === "postBuild");
    await turn();
    expect(events.filter(({ type }) => type === "hookQueued")).toMatchObject([{ kind: "postBuild" }]);
  });

  it("that the user wants again has its age begun anew", async () => {
    const clock = createFakeClock(1_000);
    const { queue, running } = rig({ clock, rules: ONCE });
    build(queue, "a");
    await turn();
    running.get("a")!.end("refused");
    await turn();
    clock.advance(500);
    queue.retryAll();
    expect(QueueFile.all(directory).jobs).toMatchObject([{ record: { since: 1_500, attempts: 0, isGivenUp: false } }]);
  });
});

describe("draining", () => {
  it("begins its deadline anew with what is tried again", async () => {
    const { queue, clock, running } = rig({ rules: ONCE });
    build(queue, "a");
    await turn();
    const drained = queue.drain(5_000, never(), async () => queue.retryAll() === 1);
    clock.advance(4_000);
    running.get("a")!.end("refused");
    await turn();
    clock.advance(4_999);
    await turn();
    running.get("a")!.end(null);
    expect(await drained).toEqual({ done: 1, failed: 0, left: 0, earlier: 0 });
  });

  it("asks nobody about failures once the deadline is over, and says why what runs was left", async () => {
    const { queue, clock, running, events } = rig({ rules: ONCE });
    for (const name of ["a", "b"]) build(queue, name);
    await turn();
    running.get("a")!.end("refused");
    await turn();
    let asked = 0;
    const drained = queue.drain(5_000, never(), async () => {
      asked += 1;
      return false;
    });
    clock.advance(5_000);
    expect(await drained).toEqual({ done: 0, failed: 1, left: 1, earlier: 0 });
    expect(asked).toBe(0);
    expect(results(events).at(-1)).toEqual({ type: "left", reason: "not done 5 seconds after the last build" });
  });

  it("gives earlier runs' jobs their grace again after something of its own was tried again", async () => {
    await deadRun("old");
    const { queue, clock, running } = rig({ rules: ONCE });
    build(queue, "own");
    await turn();
    let asked = 0;
    let isDrained = false;
    const drained = queue
      .drain(0, never(), async () => {
        asked += 1;
        return asked === 1 && queue.retryAll() === 1;
      })
      .then(() => {
        isDrained = true;
      });
    for (const times of [1, 2]) {
      running.get("own")!.end("refused");
      await turn();
      clock.advance(4_999);
      await turn();
      expect([asked, isDrained]).toEqual([times - 1, false]);
      clock.advance(1);
      await turn();
      expect(asked).toBe(times);
    }
    await drained;
  });

  it("waits for jobs whose references are being asked for, and leaves them when the user goes", async () => {
    const references = Promise.withResolvers<ReadonlySet<StorePath>>();
    const { queue, events } = rig({ referencesOf: () => references.promise });
    build(queue, "a");
    const drained = queue.drain(0, AbortSignal.abort());
    await turn();
    expect(results(events)).toEqual([]);
    references.resolve(new Set());
    expect(await drained).toMatchObject({ left: 1 });
    expect(results(events)).toEqual([{ type: "left", reason: "the run was ended" }]);
    // Nothing is taken on any more.
    build(queue, "b");
    await turn();
    expect(events.filter(({ type }) => type === "hookQueued")).toHaveLength(1);
  });
});

describe("closing", () => {
  it("ends what runs and waits for it; all that is not done stays on disk, with no wait to keep", async () => {
    const { queue, clock, running, events } = rig({ rules: { ...RULES, workers: 1 } });
    for (const name of ["a", "b"]) build(queue, name);
    await turn();
    running.get("a")!.end("refused");
    await turn();
    expect(QueueFile.all(directory).jobs[0]!.record.nextAt).toBe(100);
    const { signal } = running.get("b")!;
    await queue.close();
    expect([signal.aborted, (signal.reason as Error).message]).toEqual([true, "the run was ended"]);
    expect(results(events).map(({ type }) => type)).toEqual(["willRetry", "left", "left"]);
    clock.advance(10_000);
    expect(running.size).toBe(0);
    expect(QueueFile.all(directory).jobs.map(({ record }) => record)).toMatchObject([
      { attempts: 1, reason: "refused", nextAt: null },
      { attempts: 0, nextAt: null },
    ]);
    await queue.close();
  });
});

describe("jobs of a dead run", () => {
  it("stay as they are where they are none of this one's business", async () => {
    await deadRun("a");
    const { queue, events, notices } = rig({ isLeftAlone: () => true });
    await turn();
    expect(await queue.drain(0, never())).toEqual({ done: 0, failed: 0, left: 0, earlier: 0 });
    await queue.close();
    expect([events, notices]).toEqual([[], []]);
    expect(QueueFile.all(directory).jobs).toHaveLength(1);
  });

  it("are this one's own where it was asked to do them, even those given up, and begin anew", async () => {
    await deadRun("a");
    const giving = rig({ runId: "giving", rules: { ...ONCE, triesOfAllRuns: 1 } });
    await turn();
    giving.running.get("a")!.end("refused");
    await turn();
    await giving.queue.close();
    expect(QueueFile.all(directory).jobs).toMatchObject([{ record: { attempts: 1, isGivenUp: true } }]);
    // The process that gave it up is gone, too.
    const [file] = readdirSync(directory);
    renameSync(join(directory, file!), join(directory, file!.replace(/^([a-z]+)-[0-9a-f]*-/, "$1-fffffffe-")));
    const { queue, running, notices, events } = rig({
      isAsked: () => true,
      rules: ONCE,
      clock: createFakeClock(7_000),
    });
    expect(QueueFile.all(directory).jobs).toMatchObject([{ record: { since: 7_000, attempts: 0, isGivenUp: false } }]);
    await turn();
    running.get("a")!.end("refused again");
    expect(await queue.drain(0, never())).toEqual({ done: 0, failed: 1, left: 0, earlier: 0 });
    expect(results(events)).toEqual([{ type: "failed", reason: "refused again" }]);
    expect(QueueFile.all(directory).jobs).toMatchObject([{ record: { since: 7_000, attempts: 1 } }]);
    expect(notices).toEqual([]);
  });
});
