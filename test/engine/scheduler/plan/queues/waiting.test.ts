import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../../src/engine/events/ids.ts";
import { drv, goal, machine, Scenario } from "../scenario.ts";

describe("reasons to wait", () => {
  it("name inputs, at most eight, when added and once more for the last", () => {
    const names = Array.from({ length: 10 }, (_, index) => `lib${index}`);
    const run = new Scenario().machines(machine("a", { slots: 10 }));
    run.goals(...names.map((name) => goal(name)), goal("app", names, { isTarget: true }));
    expect(run.waits("app")).toEqual({ type: "inputs", pending: 10, first: names.slice(0, 8).map(drv) });
    for (const name of names.slice(0, 9)) run.done(name);
    expect(run.waits("app")).toEqual({ type: "inputs", pending: 1, first: [drv("lib9")] });
    const told = run.happened("goalWaiting").filter((event) => event.goal === drv("app"));
    expect(told).toHaveLength(2);
  });

  it("name the machines whose slots are all busy", () => {
    const run = new Scenario().machines(machine("a"), machine("b"), machine("mac", { systems: ["x86_64-darwin"] }));
    run.goals(...["p", "q", "r"].map((name) => goal(name, [], { isTarget: true })));
    expect(run.waits("r")).toEqual({ type: "slots", machines: ["a", "b"] });
  });

  it("name every machine that will take it, connected or not yet, and none that takes nothing", () => {
    const run = new Scenario().machines(machine("a"));
    for (const name of ["b", "c", "d"]) run.say({ type: "machineAdded", spec: machine(name) });
    run.ask({ type: "cordonMachine", machine: "d" as MachineId });
    run.goals(...["p", "q"].map((name) => goal(name, [], { isTarget: true })));
    run.lost("c");
    run.tick(3000);
    expect(run.waits("q")).toEqual({ type: "slots", machines: ["a", "b", "c"] });
  });

  it("are told again only when they change", () => {
    const run = new Scenario().machines(machine("a"));
    const names = Array.from({ length: 20 }, (_, index) => `g${index}`);
    run.goals(...names.map((name) => goal(name, [], { isTarget: true })));
    const before = run.happened("goalWaiting").length;
    for (let second = 1; second <= 10; second++) run.tick(second * 1000);
    run.say({ type: "machineLoad", machine: "a" as MachineId, load1: 1, cores: 2 });
    expect(run.happened("goalWaiting")).toHaveLength(before);
    run.ask({ type: "pauseDispatch" });
    expect(run.happened("goalWaiting")).toHaveLength(before + 19);
  });
});
