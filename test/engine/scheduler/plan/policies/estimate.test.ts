import { describe, expect, it } from "vitest";
import type { PlanOptions } from "../../../../../src/engine/scheduler/plan/options.ts";
import { type EstimateInput, estimateRemaining } from "../../../../../src/engine/scheduler/plan/policies/estimate.ts";
import { goal, machine, Scenario } from "../scenario.ts";

const input: EstimateInput = {
  left: 50,
  unknown: 0,
  workMs: 400_000,
  capacity: 4,
  chainMs: 15_000,
  slowChainMs: 30_000,
  spread: 0,
  seen: 50,
};

describe("the time that is left", () => {
  it("lies between the longest chain or all work, and both together", () => {
    expect(estimateRemaining(input)).toEqual({ lowMs: 100_000, highMs: 130_000, unpredictable: 0 });
    const chain = { chainMs: 450_000, slowChainMs: 900_000 };
    expect(estimateRemaining({ ...input, ...chain })).toMatchObject({ lowMs: 450_000, highMs: 1_000_000 });
  });

  it("is the vaguer the worse lengths are known, the fewer builds are left and the fewer have ended, up to a bound", () => {
    const width = (more: Partial<EstimateInput>) => {
      const { lowMs, highMs } = estimateRemaining({ ...input, ...more })!;
      expect(lowMs).toBeLessThanOrEqual(100_000);
      expect(highMs).toBeGreaterThanOrEqual(130_000);
      return highMs / lowMs;
    };
    const wide = width({ spread: 0.7 });
    expect(wide).toBeGreaterThan(width({ spread: 0.2 }));
    expect(width({ spread: 0.7, left: 3 })).toBeGreaterThan(wide);
    expect(width({ spread: 0.7, seen: 1 })).toBeGreaterThan(wide);
    expect(width({ spread: 50, left: 1, seen: 0 })).toBeLessThan(25);
  });

  it("tells how many builds nothing is recorded of", () => {
    expect(estimateRemaining({ ...input, unknown: 10 })?.unpredictable).toBe(10);
  });

  it("is not given where nothing can be said", () => {
    expect(estimateRemaining({ ...input, unknown: 50, seen: 0 })).toBeNull();
    expect(estimateRemaining({ ...input, capacity: 0 })).toBeNull();
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
    // Thirty seconds of work for each slot, ten of them the longest build.
    expect(remaining[0]!.lowMs).toBeLessThan(29_000);
    expect(remaining[0]!.highMs).toBeGreaterThan(29_000);
    expect(remaining[0]!.lowMs - remaining[1]!.lowMs).toBeGreaterThan(0);
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
