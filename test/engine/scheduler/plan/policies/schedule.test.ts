// What no schedule may do, on generated graphs in virtual time: idle beyond its own bound, expect what is past, decide by chance; and what it learns.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide } from "../../../../../src/engine/scheduler/plan/decide.ts";
import type { Fact } from "../../../../../src/engine/scheduler/plan/fact.ts";
import { expectedEnd } from "../../../../../src/engine/scheduler/plan/policies/expect.ts";
import { paceOf } from "../../../../../src/engine/scheduler/plan/policies/pace.ts";
import { freeSlots } from "../../../../../src/engine/scheduler/plan/state/machine.ts";
import { createPlan, type Plan } from "../../../../../src/engine/scheduler/plan/state/plan.ts";
import {
  FARMS,
  KNOWLEDGE,
  known,
  LENGTHS,
  makeFarm,
  makeGraph,
  SHAPES,
} from "../../../../bench/support/schedule-cases.ts";
import { runVirtually } from "../../../../bench/support/virtual-run.ts";
import { goal, machine, Scenario } from "../scenario.ts";

const cases = fc.record({
  shape: fc.constantFrom(...SHAPES),
  lengths: fc.constantFrom(...LENGTHS),
  farm: fc.constantFrom(...FARMS.filter((name) => name !== "twoHundred")),
  knowledge: fc.constantFrom(...KNOWLEDGE),
  count: fc.integer({ min: 2, max: 60 }),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});
type Case = Parameters<Parameters<typeof fc.property<[typeof cases extends fc.Arbitrary<infer T> ? T : never]>>[1]>[0];

/** Runs a case and shows the plan after every decision. */
function run(
  { shape, lengths, farm: farmName, knowledge, count, seed }: Case,
  seen: (plan: Plan, now: number) => void,
) {
  const graph = makeGraph(shape, lengths, count, seed);
  const farm = makeFarm(farmName, seed);
  return runVirtually(
    graph.goals,
    farm.machines,
    { seed, ...known(knowledge, graph, seed) },
    (command) => graph.work.get(command.goal)! / farm.speeds.get(command.machine)!,
    seen,
  );
}

describe("a schedule", () => {
  it("leaves no slot idle while a goal that fits waits, unless that goal's patience has not ended", () => {
    fc.assert(
      fc.property(cases, (which) => {
        run(which, (plan, now) => {
          if (!plan.machines.some((each) => each.link === "up" && freeSlots(each) > 0)) return;
          for (const each of plan.goals.values()) {
            if (each.phase.type !== "building" || each.open.length > 0) continue;
            // Only goals at the front of the queue are thought of; the others wait behind them.
            if (each.waiting?.type === "betterMachine") expect(each.patience).not.toBeNull();
            if (each.patience !== null) expect(now).toBeLessThanOrEqual(each.patience + 1000);
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  it("never expects a running build to have ended in the past", () => {
    fc.assert(
      fc.property(cases, (which) => {
        run(which, (plan, now) => {
          for (const each of plan.machines) {
            for (const claim of each.lanes) {
              if (claim !== null) expect(expectedEnd(plan, claim, now)).toBeGreaterThanOrEqual(now);
            }
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  it("is the same each time", () => {
    fc.assert(
      fc.property(cases, (which) => {
        const nothing = () => undefined;
        expect(run(which, nothing).makespanMs).toBe(run(which, nothing).makespanMs);
      }),
      { numRuns: 30 },
    );
  });

  it("never takes longer than Nix's own where one machine is told to be faster and is not, and nothing is known", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const graph = makeGraph("layers", "uniform", 26, seed);
      const machines = [
        machine("local", { slots: 1 }),
        machine("liar", { slots: 3, speedFactor: 2 }),
        machine("b", { slots: 2 }),
      ].map((spec) => ({ ...spec, systems: ["x86_64-linux"] }));
      const makespan = (policy: "own" | "nix") =>
        runVirtually(graph.goals, machines, { seed, policy }, (command) => graph.work.get(command.goal)!).makespanMs;
      expect(makespan("own"), `seed ${seed}`).toBeLessThanOrEqual(makespan("nix") * 1.15);
    }
  });
});

describe("what a run learns", () => {
  const twelve = Array.from({ length: 12 }, (_, index) => `tool-${index}`);

  it("is at once that builds outlive what is recorded of them", () => {
    const run = new Scenario({ durations: () => 0 }).machines(machine("a", { slots: 3 }));
    run.goals(...twelve.map((name) => goal(name, [], { isTarget: true })));
    const told = () => run.happened("buildAssigned").at(-1)!.expectedMs!;
    expect(told()).toBeLessThan(1000);
    for (let now = 1000; now <= 5000; now += 1000) run.tick(now);
    run.done("tool-0");
    expect(told()).toBeGreaterThan(1500);
  });

  it("is that a machine is slower than it says", () => {
    const machines = [machine("liar", { speedFactor: 2 }), machine("honest")].map((spec) => ({
      ...spec,
      systems: ["x86_64-linux"],
    }));
    const graph = makeGraph("layers", "uniform", 80, 1);
    const took = { liar: 20_000, honest: 10_000 } as Readonly<Record<string, number>>;
    let pace: readonly number[] = [];
    runVirtually(
      graph.goals,
      machines,
      { durations: (_, { speedFactor }) => 10_000 / speedFactor },
      (command) => took[command.machine]!,
      (plan) => {
        pace = plan.machines.map(paceOf);
      },
    );
    const [liar, honest] = pace;
    expect(liar).toBeLessThan(honest!);
  });

  it("is whether recorded durations say anything at all", () => {
    const plan = createPlan({ durations: ({ name }) => (Number(name.slice(1)) % 2 === 0 ? 100_000 : 1000) });
    const say = (fact: Fact, mono: number) => decide(plan, fact, { mono, wall: mono });
    say({ type: "machineAdded", spec: machine("a", { slots: 40 }) }, 0);
    say({ type: "machineConnected", machine: machine("a").machine, nixVersion: null, protocol: "", trusted: true }, 0);
    say({ type: "goalsAdded", goals: Array.from({ length: 60 }, (_, n) => goal(`g${n}`, [], { isTarget: true })) }, 0);
    const rest = [...plan.goals.values()].slice(-2);
    expect(Math.abs(Math.log(rest[0]!.work / rest[1]!.work))).toBeCloseTo(Math.log(100), 1);
    for (const claim of [...plan.claims.keys()].slice(0, 36)) {
      say(
        { type: "claimBuilt", claim, durationMs: 10_000, executed: true, outputs: [], differs: [], messages: [] },
        10_000,
      );
    }
    expect(Math.abs(Math.log(rest[0]!.work / rest[1]!.work))).toBeLessThan(Math.log(10));
  });
});
