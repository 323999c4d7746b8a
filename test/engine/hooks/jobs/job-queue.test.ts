import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HookId } from "../../../../src/engine/events/ids.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import {
  freshRecord,
  parseQueue,
  printDone,
  printJob as printKept,
  printRecord,
} from "../../../../src/engine/hooks/jobs/job-lines.ts";
import {
  type HookJob,
  type JobFailure,
  JobQueue,
  type QueueRules,
} from "../../../../src/engine/hooks/jobs/job-queue.ts";

const rules: QueueRules = {
  workers: 2,
  retries: 2,
  firstWaitMs: 100,
  longestWaitMs: 300,
  triesOfAllRuns: 6,
  longestAgeMs: 10_000,
  random: () => 1,
};
const path = (name: string): StorePath => `/nix/store/${"a".repeat(32)}-${name}` as StorePath;
const NOTHING: ReadonlySet<StorePath> = new Set();

function job(name: string, more: Partial<HookJob> = {}): HookJob {
  return {
    id: name as HookId,
    kind: "upload",
    drvPath: path(`${name}.drv`),
    paths: [path(name)],
    target: "s3://x",
    store: "auto",
    ...more,
  };
}

const failed = (reason: string): JobFailure => ({ reason, passing: false });

const printJob = (each: HookJob): string => printKept({ job: each, record: freshRecord(0) });
const parseJobs = (text: string): HookJob[] => parseQueue([{ name: "f", text }]).kept.map((kept) => kept.job);

const names = (started: readonly { readonly job: HookJob }[]): string[] => started.map((one) => one.job.id);

describe("the queue of hooks", () => {
  it("starts jobs in their order, so many at once", () => {
    const queue = new JobQueue(rules);
    for (const name of ["a", "b", "c"]) queue.add(job(name), NOTHING);
    expect(names(queue.start(0))).toEqual(["a", "b"]);
    expect(queue.start(0)).toEqual([]);
    expect(queue.ended("a" as HookId, null, 0)).toEqual({ type: "succeeded" });
    expect(names(queue.start(0))).toEqual(["c"]);
  });

  it("lets a job wait for those its paths refer to, of the same kind and target", () => {
    const queue = new JobQueue({ ...rules, workers: 9 });
    queue.add(job("glibc"), NOTHING);
    queue.add(job("hello"), new Set([path("glibc"), path("hello")]));
    queue.add(job("hello-hook", { kind: "postBuild", target: "/hook" }), new Set([path("glibc")]));
    expect(names(queue.start(0))).toEqual(["glibc", "hello-hook"]);
    queue.ended("glibc" as HookId, failed("no network"), 0);
    expect(queue.start(0)).toEqual([]);
    expect(names(queue.start(100))).toEqual(["glibc"]);
    queue.ended("glibc" as HookId, null, 100);
    expect(names(queue.start(100))).toEqual(["hello"]);
  });

  it("goes on with what waits when a predecessor is given up", () => {
    const queue = new JobQueue({ ...rules, retries: 0 });
    queue.add(job("glibc"), NOTHING);
    queue.add(job("hello"), new Set([path("glibc")]));
    queue.start(0);
    expect(queue.ended("glibc" as HookId, failed("refused"), 0)).toEqual({ type: "failed" });
    expect(names(queue.start(0))).toEqual(["hello"]);
  });

  it("tries again after doubling waits, and then no more until it is asked to", () => {
    const queue = new JobQueue(rules);
    queue.add(job("a"), NOTHING);
    expect(queue.start(0)[0]?.attempt).toBe(1);
    expect(queue.ended("a" as HookId, failed("one"), 0)).toEqual({ type: "willRetry", at: 100 });
    expect(queue.nextAt()).toBe(100);
    expect(queue.start(99)).toEqual([]);
    expect(queue.start(100)[0]?.attempt).toBe(2);
    expect(queue.ended("a" as HookId, failed("two"), 100)).toEqual({ type: "willRetry", at: 300 });
    queue.start(300);
    expect(queue.ended("a" as HookId, failed("three"), 300)).toEqual({ type: "failed" });
    expect(queue.stateOf("a" as HookId)).toEqual({ type: "failed", attempts: 3, reason: "three" });
    expect(queue.settled).toBe(true);
    expect(queue.retry("a" as HookId)).toBe(true);
    expect(queue.retry("a" as HookId)).toBe(false);
    expect(queue.start(300)[0]?.attempt).toBe(1);
  });

  it("never gives up what only needs waiting", () => {
    const queue = new JobQueue(rules);
    queue.add(job("a"), NOTHING);
    for (let now = 0, tries = 0; tries < 20; tries++, now += 300) {
      expect(queue.start(now)[0]?.attempt).toBe(tries + 1);
      expect(queue.ended("a" as HookId, { reason: "no network", passing: true }, now).type).toBe("willRetry");
    }
  });

  it("has each build once for a kind and target", () => {
    const queue = new JobQueue(rules);
    expect(queue.add(job("a"), NOTHING)).toBe(true);
    expect(queue.add(job("again", { drvPath: path("a.drv") }), NOTHING)).toBe(false);
    expect(queue.add(job("other", { drvPath: path("a.drv"), target: "s3://y" }), NOTHING)).toBe(true);
  });

  it("takes back what was interrupted as if it had not been tried", () => {
    const queue = new JobQueue(rules);
    queue.add(job("a"), NOTHING);
    queue.start(0);
    queue.interrupted("a" as HookId);
    expect(queue.stateOf("a" as HookId)).toEqual({ type: "queued" });
  });

  it("gives up what another run made after the tries of all runs, or its age, and never what is its own", () => {
    const queue = new JobQueue({ ...rules, retries: 0, triesOfAllRuns: 3 });
    queue.add(job("a"), NOTHING, { attempts: 2, bornAt: -50, reason: "before", isGivenUp: false });
    queue.add(job("old"), NOTHING, { attempts: 0, bornAt: -9_999, reason: null, isGivenUp: false });
    queue.add(job("own"), NOTHING, null, 1);
    queue.add(job("over"), NOTHING, { attempts: 9, bornAt: 0, reason: "enough", isGivenUp: true });
    expect(names(queue.start(1))).toEqual(["own", "a"]);
    expect(queue.ended("own" as HookId, failed("no"), 1)).toEqual({ type: "failed" });
    expect(queue.ended("a" as HookId, failed("no"), 1)).toEqual({ type: "givenUp" });
    expect(names(queue.start(1))).toEqual(["old"]);
    expect(queue.ended("old" as HookId, { reason: "no network", passing: true }, 1)).toEqual({ type: "givenUp" });
    expect(queue.counts("own")).toEqual({ queued: 0, running: 0, retrying: 0, failed: 1, givenUp: 0 });
    expect(queue.counts("earlier")).toEqual({ queued: 0, running: 0, retrying: 0, failed: 0, givenUp: 3 });
    expect(queue.start(99_999)).toEqual([]);
    // The user may think otherwise: then all begins anew.
    expect(queue.retry("over" as HookId, 99_999)).toBe(true);
    expect(names(queue.start(99_999))).toEqual(["over"]);
    expect(queue.ended("over" as HookId, failed("no"), 99_999)).toEqual({ type: "failed" });
  });

  it("ends what nobody needs to try again", () => {
    const queue = new JobQueue(rules);
    queue.add(job("a"), NOTHING, { attempts: 0, bornAt: 0, reason: null, isGivenUp: false });
    queue.add(job("b"), NOTHING);
    queue.start(0);
    expect(queue.ended("a" as HookId, { ...failed("gone"), uselessFor: "ever" }, 0)).toEqual({ type: "dropped" });
    expect(queue.ended("b" as HookId, { reason: "who?", passing: true, uselessFor: "run" }, 0)).toEqual({
      type: "failed",
    });
    expect(queue.jobs().map(({ id }) => id)).toEqual(["b"]);
  });

  it("always comes to an end, never runs more than it may, and never a job before what it refers to", () => {
    const step = fc.record({ end: fc.nat(20), fails: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.nat(9), { maxLength: 3 }), { maxLength: 10 }),
        fc.array(step, { maxLength: 200 }),
        (graph, steps) => {
          const queue = new JobQueue(rules);
          const done = new Set<string>();
          const before = new Map<string, string[]>();
          for (const [index, references] of graph.entries()) {
            const earlier = references.filter((reference) => reference < index).map((reference) => `n${reference}`);
            before.set(`n${index}`, earlier);
            queue.add(job(`n${index}`), new Set(earlier.map(path)));
          }
          const running: string[] = [];
          let now = 0;
          const proceed = (): void => {
            for (const { job: started } of queue.start(now)) {
              for (const earlier of before.get(started.id) ?? []) {
                expect(done.has(earlier) || queue.stateOf(earlier as HookId)?.type === "failed").toBe(true);
              }
              running.push(started.id);
            }
            expect(running.length).toBeLessThanOrEqual(rules.workers);
          };
          const end = (index: number, fails: boolean): void => {
            const [id] = running.splice(index % running.length, 1);
            const verdict = queue.ended(id as HookId, fails ? failed("no") : null, now);
            if (verdict.type === "succeeded") done.add(id!);
          };
          for (const { end: which, fails } of steps) {
            proceed();
            if (running.length > 0) end(which, fails);
            else now = queue.nextAt() ?? now;
          }
          for (let turn = 0; !queue.settled; turn++) {
            expect(turn).toBeLessThan(200);
            proceed();
            if (running.length > 0) end(0, false);
            else now = queue.nextAt() ?? now;
          }
        },
      ),
    );
  });
});

describe("the queue's lines", () => {
  it("are read in any order of the files: who is done is done, and the latest word counts", () => {
    const record = { at: 5, since: 1, attempts: 3, reason: "no", nextAt: 9, isGivenUp: true };
    const old = printKept({ job: job("a"), record: freshRecord(1) }) + printJob(job("b"));
    const young = printRecord("a" as HookId, record) + printDone("b" as HookId);
    for (const files of [
      [old, young],
      [young, old],
    ]) {
      const { kept, problems } = parseQueue(files.map((text) => ({ name: "f", text })));
      expect(kept).toEqual([{ job: job("a"), record }]);
      expect(problems).toEqual([]);
    }
  });

  it("name what is damaged and leave it out", () => {
    const text = `${printJob(job("a"))}{"type":"tried","id":"a","at":2,"attempts":99999999999}\n${printJob(job("b")).replace(`["${path("b")}"]`, '["/etc/passwd"]')}${"[".repeat(500)}\n`;
    const { kept, problems } = parseQueue([{ name: "q.jsonl", text }]);
    expect(kept.map((each) => each.job.id)).toEqual(["a"]);
    expect(problems).toEqual([
      "q.jsonl:2: expected 0 to 1000000 in 'attempts'",
      "q.jsonl:3: expected store paths in 'paths'",
    ]);
  });

  it("leave what is not done, whatever a crash cut off", () => {
    const text =
      printJob(job("a")) +
      printJob(job("b", { kind: "postBuild", target: "/hook" })) +
      printDone("a" as HookId) +
      printJob(job("c"));
    expect(parseJobs(text)).toEqual([job("b", { kind: "postBuild", target: "/hook" }), job("c")]);
    for (let end = 0; end < text.length; end++) {
      expect(parseJobs(text.slice(0, end)).every((found) => ["a", "b", "c"].includes(found.id))).toBe(true);
    }
    expect(
      parseJobs(
        '{"type":"added","id":"x"}\n[]\nnull\n{"type":"added","id":"y","kind":"upload","drvPath":"/etc","paths":[],"target":"","store":""}\n',
      ),
    ).toEqual([]);
  });
});
