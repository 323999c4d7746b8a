import { describe, expect, it } from "vitest";
import type { GoalId, MachineId } from "../../../../../src/engine/events/ids.ts";
import type { ResumedGoal } from "../../../../../src/engine/scheduler/plan/options.ts";
import { CONNECTION_LOST, drv, failure, goal, machine, Scenario } from "../scenario.ts";

const left = (where: string | null, more: Partial<ResumedGoal> = {}): ResumedGoal => ({
  machine: where as MachineId | null,
  isBuilt: false,
  failures: [],
  ...more,
});
const resuming = (...builds: readonly (readonly [string, ResumedGoal])[]): ReadonlyMap<GoalId, ResumedGoal> =>
  new Map(builds.map(([name, build]) => [drv(name), build]));

for (const policy of ["own", "nix"] as const) {
  describe(`what an interrupted run left, by the ${policy} policy`, () => {
    it("is looked for on the machine it was sent to, and said to be", () => {
      const resumed = resuming(["x", left("slow")]);
      const run = new Scenario({ resumed, policy }).machines(machine("fast", { speedFactor: 9 }), machine("slow"));
      run.goals(goal("x", [], { isTarget: true }));
      expect(run.starts("x")).toEqual([expect.objectContaining({ machine: "slow", isResumed: true, attempt: 1 })]);
      expect(run.happened("buildAssigned")[0]!.explanation).toBe("an earlier run had sent it there");
    });

    it("found there counts as built, so that its hook runs", () => {
      const run = new Scenario({
        resumed: resuming(["x", left("m")]),
        policy,
        hook: { type: "blocking", exceptLocal: false },
      });
      run.machines(machine("m")).goals(goal("x", [], { isTarget: true }));
      run.built(run.claim("x"), [], [], false);
      run.received(run.claim("x"));
      expect(run.happened("buildEnded")[0]!.result).toEqual({ type: "alreadyValid" });
      expect(run.of("runPostBuildHook")).toHaveLength(1);
    });

    it("waits for a machine that is being connected to, while others work, but not for ever", () => {
      const resumed = resuming(...Array.from({ length: 40 }, (_, n) => [`x${n}`, left("far")] as const));
      const run = new Scenario({ resumed, policy });
      for (const spec of [machine("near"), machine("far")]) run.say({ type: "machineAdded", spec });
      run.goals(
        ...Array.from({ length: 40 }, (_, n) => goal(`x${n}`, [], { isTarget: true })),
        goal("y", [], { isTarget: true }),
      );
      run.at(500).connected("near");
      // More are waiting than a pass looks at; the one that is not still gets its slot.
      expect(run.starts().map((command) => command.goal)).toEqual([drv("y")]);
      run.done("y");
      for (let now = 1000; now <= 40_000 && run.starts().length === 1; now += 1000) run.tick(now);
      expect(run.starts()[1]).toMatchObject({ machine: "near", isResumed: false });
      expect(run.now).toBeGreaterThan(15_000);
    });

    it("goes elsewhere when that machine fails, is held or is no more", () => {
      const resumed = resuming(["x", left("m")], ["y", left("gone")]);
      const run = new Scenario({ resumed, policy }).machines(machine("m"), machine("n", { slots: 2 }));
      run.ask({ type: "cordonMachine", machine: "m" as MachineId });
      run.goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
      expect(run.starts().map((command) => [command.machine, command.isResumed])).toEqual([
        ["n", false],
        ["n", false],
      ]);
    });

    it("is not looked for again where it failed meanwhile", () => {
      const run = new Scenario({ resumed: resuming(["x", left("m")]), policy });
      run.machines(machine("m"), machine("n")).goals(goal("x", [], { isTarget: true }));
      run.fails(run.claim("x"), CONNECTION_LOST);
      expect(run.starts("x").map((command) => command.machine)).toEqual(["m", "n"]);
    });

    it("that only has to be fetched goes before what may have to be built", () => {
      const resumed = resuming(["x", left("m")], ["y", left("m", { isBuilt: true })]);
      const run = new Scenario({ resumed, policy }).machines(machine("m"), machine("n"));
      run.goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
      expect(run.starts("y")).toEqual([expect.objectContaining({ machine: "m", isResumed: true })]);
      // Its slot is taken: what has to be built may be so anywhere.
      expect(run.starts("x")).toEqual([expect.objectContaining({ machine: "n", isResumed: false })]);
    });

    it("counts the attempts used", () => {
      const failures = ["m: one", "m: two"];
      const run = new Scenario({ resumed: resuming(["x", left(null, { failures })]), policy, maxAttempts: 3 });
      run.machines(machine("m")).goals(goal("x", [], { isTarget: true }));
      expect(run.starts("x")[0]).toMatchObject({ attempt: 3, isResumed: false });
      run.fails(run.claim("x"), failure("three", { status: "MiscFailure" }));
      expect(run.result("x")).toMatchObject({
        type: "failed",
        failure: { kind: "machinery", attempts: [...failures, "m: three"] },
      });
    });
  });
}
