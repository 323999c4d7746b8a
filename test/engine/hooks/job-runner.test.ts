import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HookEvent } from "../../../src/engine/events/event.ts";
import type { HookId } from "../../../src/engine/events/ids.ts";
import { QueueFile } from "../../../src/engine/hooks/job-files.ts";
import type { DurableQueueOptions } from "../../../src/engine/hooks/job-runner.ts";
import { build, createQueueRig, path, RULES, turn } from "./queue-rig.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-queue-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const rig = (pid: number, changes: Partial<DurableQueueOptions> = {}) => createQueueRig(directory, pid, changes);

describe("the durable queue", () => {
  it("does what was built, tells of it, and leaves nothing behind", async () => {
    const { queue, events, kept, running } = rig(process.pid);
    build(queue, "a");
    await turn();
    expect(readdirSync(directory)).toHaveLength(1);
    running.get("a")!.end(null);
    const { done, failed, left } = await queue.drain(0, new AbortController().signal);
    expect({ done, failed, left }).toEqual({ done: 1, failed: 0, left: 0 });
    await queue.close();
    expect(events.map((event) => event.type)).toEqual(["hookQueued", "hookStarted", "hookLogged", "hookFinished"]);
    expect(events[0]).toMatchObject({ kind: "upload", goal: path("a.drv"), paths: [path("a")] });
    expect(kept).toEqual(["keep a", "let go a"]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("tries again, and is asked to try again", async () => {
    const { queue, clock, running, finished } = rig(process.pid);
    build(queue, "a");
    await turn();
    running.get("a")!.end("no network");
    await turn();
    expect(finished(`run${process.pid}-1`)).toEqual(["willRetry"]);
    clock.advance(100);
    running.get("a")!.end("still no network");
    await turn();
    const id = `run${process.pid}-1` as HookId;
    expect(finished(id)).toEqual(["willRetry", "failed"]);
    expect(queue.retry("nobody" as HookId)).toBe("this hook has not failed");
    expect(queue.retryAll()).toBe(1);
    running.get("a")!.end(null);
    await queue.drain(0, new AbortController().signal);
    expect(finished(id).at(-1)).toBe("succeeded");
    await queue.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it("asks whoever watches before it ends with failures, and waits again when some are tried again", async () => {
    const { queue, clock, running } = rig(process.pid);
    build(queue, "a");
    await turn();
    const asked: number[] = [];
    const failTwice = async (): Promise<void> => {
      for (const pause of [100, 0]) {
        running.get("a")!.end("refused");
        await turn();
        clock.advance(pause);
      }
    };
    const drained = queue.drain(0, new AbortController().signal, async (failed) => {
      asked.push(failed);
      return asked.length < 2 && queue.retryAll() === 1;
    });
    await failTwice();
    await turn();
    expect(asked).toEqual([1]);
    await failTwice();
    expect(await drained).toEqual({ done: 0, failed: 1, left: 0, earlier: 0 });
    expect(asked).toEqual([1, 1]);
  });

  it("waits no longer than the deadline, and what is left is taken up by the next run", async () => {
    const first = rig(process.pid);
    for (const name of ["a", "b", "c"]) build(first.queue, name);
    await turn();
    first.running.get("a")!.end(null);
    await turn();
    const draining = first.queue.drain(5000, new AbortController().signal);
    first.clock.advance(5000);
    expect(await draining).toEqual({ done: 1, failed: 0, left: 2, earlier: 0 });
    await first.queue.close();
    expect(first.finished(`run${process.pid}-2`)).toEqual(["left"]);
    // The file belongs to this process; as long as it lives nobody else takes it.
    expect(QueueFile.waiting(directory)).toEqual([]);
    expect(rig(process.pid).queue.counts()).toMatchObject({ queued: 0, running: 0 });
  });

  it("survives the death of its process, also in the middle of a line", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid);
    for (const name of ["a", "b", "c"]) build(first.queue, name);
    await turn();
    first.running.get("b")!.end(null);
    await turn();
    // No close: the process is gone.
    expect(QueueFile.waiting(directory).map(({ job }) => job.paths)).toEqual([[path("a")], [path("c")]]);
    const second = rig(process.pid);
    expect(second.notices).toEqual(["2 hooks of an earlier run are taken up again"]);
    await turn();
    expect([...second.running.keys()]).toEqual(["a", "c"]);
    expect(rig(process.pid).notices).toEqual([]);
    for (const { end } of [...second.running.values()]) end(null);
    expect(await second.queue.drain(0, new AbortController().signal)).toEqual({
      done: 0,
      failed: 0,
      left: 0,
      earlier: 0,
    });
    await second.queue.close();
    expect(second.kept).toEqual(["let go a", "let go c"]);
    expect(QueueFile.waiting(directory)).toEqual([]);
  });

  it("tries what an earlier run left beside its own, and neither fails nor waits for it", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid);
    for (const name of ["a", "b"]) build(first.queue, name);
    await turn();
    const second = rig(process.pid);
    build(second.queue, "own");
    await turn();
    expect([...second.running.keys()]).toEqual(["a", "b", "own"]);
    const drained = second.queue.drain(0, new AbortController().signal);
    second.running.get("a")!.end("refused");
    await turn();
    second.running.get("own")!.end(null);
    await turn();
    // Its next try is not waited for; what runs is, for a while, and so is what has not been tried.
    second.clock.advance(4_999);
    await turn();
    second.running.get("a")!.end("refused");
    await turn();
    expect(second.running.has("b")).toBe(true);
    second.clock.advance(1);
    expect(await drained).toEqual({ done: 1, failed: 0, left: 0, earlier: 2 });
    await second.queue.close();
    expect(second.finished(`run${dead.pid}-1`)).toEqual(["willRetry", "left"]);
    expect(second.finished(`run${dead.pid}-2`)).toEqual(["left"]);
  });

  it("waits for what an earlier run left as long as it gets on", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid);
    for (const name of ["a", "b", "c"]) build(first.queue, name);
    await turn();
    const second = rig(process.pid);
    await turn();
    const drained = second.queue.drain(0, new AbortController().signal);
    await turn();
    for (const name of ["a", "b", "c"]) {
      second.clock.advance(4_000);
      second.running.get(name)!.end(null);
      await turn();
    }
    expect(await drained).toEqual({ done: 0, failed: 0, left: 0, earlier: 0 });
    await second.queue.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it("gives up over all runs what fails in every one, keeps it, and tries it when it is told to", async () => {
    const rules = {
      ...{ workers: 1, retries: 0, firstWaitMs: 1, longestWaitMs: 1 },
      longestAgeMs: 1e9,
      random: () => 0,
    };
    const changes = { rules: { ...rules, triesOfAllRuns: 3 } };
    const seen: string[][] = [];
    for (let run = 0; run < 4; run++) {
      const each = rig((await deadProcess()).pid, changes);
      if (run === 0) build(each.queue, "a");
      await turn();
      each.running.get("a")?.end("refused");
      await each.queue.drain(0, new AbortController().signal);
      await each.queue.close();
      seen.push(each.events.flatMap((event) => (event.type === "hookFinished" ? [event.result.type] : [])));
      if (run === 2) expect(each.notices.at(-1)).toContain("is given up after 3 tries: refused");
      if (run === 3) expect(each.notices).toEqual(["1 hook of earlier runs is given up and not tried"]);
    }
    expect(seen).toEqual([["failed"], ["left"], ["givenUp"], ["givenUp"]]);
    expect(QueueFile.all(directory).jobs).toMatchObject([
      { record: { attempts: 3, reason: "refused", isGivenUp: true } },
    ]);
    const last = rig(process.pid, changes);
    await turn();
    expect(last.queue.retryAll()).toBe(1);
    await turn();
    last.running.get("a")!.end(null);
    await last.queue.drain(0, new AbortController().signal);
    await last.queue.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it("answers for an earlier run's job when it has built the same", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid);
    build(first.queue, "a");
    await turn();
    const second = rig(process.pid, { rules: { ...RULES, retries: 0 } });
    await turn();
    second.running.get("a")!.end("refused");
    await turn();
    build(second.queue, "a");
    await turn();
    second.running.get("a")!.end("refused");
    expect(await second.queue.drain(0, new AbortController().signal)).toMatchObject({ failed: 1, earlier: 0 });
    await second.queue.close();
    expect(second.finished(`run${dead.pid}-1`)).toEqual(["left", "failed"]);
  });

  it("drops with a notice what has no paths any more", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid);
    build(first.queue, "a");
    await turn();
    const second = rig(process.pid, { isGone: async () => true });
    expect(await second.queue.drain(0, new AbortController().signal)).toMatchObject({ failed: 0, earlier: 0 });
    await second.queue.close();
    expect(second.finished(`run${dead.pid}-1`)).toEqual(["dropped"]);
    expect(second.notices.at(-1)).toContain("is dropped: its paths are not valid any more");
    expect(readdirSync(directory)).toEqual([]);
  });

  it("publishes one row, which ends, for what two dead runs had in common", async () => {
    for (let run = 0; run < 2; run++) {
      const each = rig((await deadProcess()).pid);
      // Each has a file of its own, as if both had run at once.
      build(each.queue, "a");
      await turn();
      if (run === 0) renameSync(join(directory, readdirSync(directory)[0]!), join(directory, "aside"));
    }
    const [name] = readdirSync(directory).filter((each) => each !== "aside");
    renameSync(join(directory, "aside"), join(directory, name!.replace(/-\d+\.jsonl$/, "-999999.jsonl")));
    const last = rig(process.pid);
    await turn();
    last.running.get("a")!.end(null);
    await last.queue.drain(0, new AbortController().signal);
    await last.queue.close();
    const ids = (type: HookEvent["type"]): string[] =>
      last.events.filter((event) => event.type === type).map((event) => event.hook);
    expect(ids("hookQueued")).toHaveLength(1);
    expect(ids("hookFinished")).toEqual(ids("hookQueued"));
    expect(readdirSync(directory)).toEqual([]);
  });

  it("leaves what failed in the queue", async () => {
    const dead = await deadProcess();
    const first = rig(dead.pid, {
      rules: {
        workers: 1,
        retries: 0,
        firstWaitMs: 1,
        longestWaitMs: 1,
        triesOfAllRuns: 3,
        longestAgeMs: 1,
        random: () => 0,
      },
    });
    build(first.queue, "a");
    await turn();
    first.running.get("a")!.end("refused");
    expect(await first.queue.drain(0, new AbortController().signal)).toEqual({
      done: 0,
      failed: 1,
      left: 0,
      earlier: 0,
    });
    await first.queue.close();
    expect(QueueFile.waiting(directory)).toHaveLength(1);
  });

  it("ends what runs when the user leaves, which is no failure", async () => {
    const { queue, running, finished } = rig(process.pid);
    build(queue, "a");
    await turn();
    const { signal } = running.get("a")!;
    expect(await queue.drain(0, AbortSignal.abort(new Error("enough")))).toEqual({
      done: 0,
      failed: 0,
      left: 1,
      earlier: 0,
    });
    expect(signal.aborted).toBe(true);
    expect(finished(`run${process.pid}-1`)).toEqual(["left"]);
    await queue.close();
  });
});

/** A number no process has any more. */
async function deadProcess(): Promise<{ pid: number }> {
  const child = spawn("/bin/true");
  await new Promise((resolve) => child.once("exit", resolve));
  return { pid: child.pid! };
}
