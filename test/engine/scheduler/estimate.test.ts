import { describe, expect, it } from "vitest";
import { type EstimateInput, estimateRemaining } from "../../../src/engine/scheduler/estimate.ts";
import type { PlanOptions } from "../../../src/engine/scheduler/options.ts";
import { goal, machine, Scenario } from "./scenario.ts";

const input: EstimateInput = {
  elapsedMs: 60_000,
  done: 50,
  left: 50,
  knownWork: 400_000,
  unknown: 0,
  averageWork: 8000,
  learnedWork: null,
  actualOverRecorded: 1,
  chainWork: 30_000,
  fastest: 2,
  capacity: 4,
};

describe("the time that is left", () => {
  it("lies between the longest chain or all work, and both together", () => {
    expect(estimateRemaining(input)).toEqual({ lowMs: 100_000, highMs: 115_000, unpredictable: 0 });
    expect(estimateRemaining({ ...input, chainWork: 900_000 })).toMatchObject({ lowMs: 450_000, highMs: 550_000 });
  });

  it("counts what nothing is known of at the average, and tells how many", () => {
    expect(estimateRemaining({ ...input, unknown: 10 })).toEqual({
      lowMs: 120_000,
      highMs: 135_000,
      unpredictable: 10,
    });
    expect(estimateRemaining({ ...input, unknown: 10, learnedWork: 40_000 })?.lowMs).toBe(200_000);
  });

  it("is not given where nothing honest can be said", () => {
    expect(estimateRemaining({ ...input, unknown: 50, knownWork: 0, averageWork: null })).toBeNull();
    expect(estimateRemaining({ ...input, capacity: 0, fastest: 0 })).toBeNull();
  });

  it("believes recorded times at first, and after 15 s and 5 % only within ten times", () => {
    const off = { ...input, actualOverRecorded: 20 };
    expect(estimateRemaining({ ...off, elapsedMs: 14_000 })?.lowMs).toBe(100_000);
    expect(estimateRemaining({ ...off, done: 2, left: 98 })?.lowMs).toBe(100_000);
    expect(estimateRemaining(off)?.lowMs).toBe(2_000_000);
    expect(estimateRemaining({ ...input, actualOverRecorded: 9 })?.lowMs).toBe(100_000);
    expect(estimateRemaining({ ...input, actualOverRecorded: 0.05 })?.lowMs).toBe(5000);
  });

  it("is nothing when nothing is left", () => {
    expect(estimateRemaining({ ...input, left: 0 })).toEqual({ lowMs: 0, highMs: 0, unpredictable: 0 });
  });
});

describe("the estimate of a run", () => {
  const names = Array.from({ length: 6 }, (_, index) => `g${index}`);
  const start = (options: Partial<PlanOptions>) =>
    new Scenario(options)
      .machines(machine("a", { slots: 2 }))
      .goals(...names.map((name) => goal(name, [], { isTarget: true })));

  it("counts down, at most once a second", () => {
    const run = start({ durations: () => 10_000 });
    for (const now of [1000, 1500, 1999, 2000, 2100]) run.tick(now);
    const remaining = run.happened("estimateChanged").map((event) => event.remaining);
    expect(remaining).toHaveLength(2);
    expect(remaining[0]).toEqual({ lowMs: 29_000, highMs: 39_000, unpredictable: 0 });
    expect(remaining[1]!.lowMs).toBe(28_000);
  });

  it("says nothing before something is known, then learns", () => {
    const run = start({});
    run.tick(1000);
    expect(run.happened("estimateChanged")).toHaveLength(0);
    run.built(run.starts()[0]!.claim);
    run.tick(2000);
    expect(run.happened("estimateChanged").at(-1)!.remaining).toMatchObject({ unpredictable: 6 });
    run.received(run.starts()[0]!.claim);
    run.tick(3000);
    expect(run.happened("estimateChanged").at(-1)!.remaining).toMatchObject({ unpredictable: 5 });
  });
});
