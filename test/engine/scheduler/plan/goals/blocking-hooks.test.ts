import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../../src/engine/events/ids.ts";
import { drv, goal, hook, machine, Scenario } from "../scenario.ts";

const target = (name: string) => goal(name, [], { isTarget: true });
const ended = (id: number, failure: string | null = null) => ({
  type: "hookEnded" as const,
  hook: hook(id),
  failure,
  durationMs: 5,
});

describe("a blocking post-build hook", () => {
  const start = () =>
    new Scenario({ hook: { type: "blocking", exceptLocal: false } }).machines(machine("a", { slots: 2 }));

  it("keeps builds from starting until it has ended, and the goal from finishing", () => {
    const run = start().goals(target("x"), target("y"), target("z"));
    run.done("x");
    expect(run.of("runPostBuildHook")).toMatchObject([{ hook: "h1", goal: drv("x"), claim: run.claim("x") }]);
    // A slot had become free when the build ended, before there was a hook.
    expect(run.starts()).toHaveLength(3);
    run.done("y");
    expect(run.of("runPostBuildHook")).toHaveLength(1);
    expect(run.result("x")).toBeNull();
    run.say({ type: "hookStarted", hook: hook(1), attempt: 1 });
    run.say(ended(1));
    expect(run.result("x")?.type).toBe("built");
    expect(run.of("runPostBuildHook")).toHaveLength(2);
    run.say(ended(2));
    run.done("z");
    run.say(ended(3));
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 3 });
    expect(run.happened("hookFinished").map((event) => event.result.type)).toEqual([
      "succeeded",
      "succeeded",
      "succeeded",
    ]);
  });

  it("that fails ends the run: the build succeeded, what runs finishes, nothing new starts", () => {
    const run = start().goals(target("x"), target("y"), target("z"), goal("w", ["z"], { isTarget: true }));
    run.done("x");
    run.say(ended(1, "program '/hook' failed with exit code 7"));
    expect(run.result("x")?.type).toBe("built");
    expect(run.of("cancelClaim")).toHaveLength(0);
    expect(run.result("w")?.type).toBe("notBuilt");
    run.done("y");
    run.say(ended(2));
    run.done("z");
    run.say(ended(3));
    expect(run.outcome).toMatchObject({ exitStatus: 1, built: 3, notBuilt: 1, interrupted: false });
    expect(run.happened("noticeRaised")).toMatchObject([
      { level: "error", message: "program '/hook' failed with exit code 7" },
    ]);
  });

  it("is left to the local machine where that runs it itself", () => {
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: true } });
    run.machines(machine("local"), machine("there"));
    run.goals(target("x"), target("y"));
    const remote = ["x", "y"].filter((name) => run.starts(name)[0]?.machine === "there");
    expect(remote).toHaveLength(1);
    for (const name of ["x", "y"]) run.done(name);
    const hooked = run.of("runPostBuildHook");
    expect(hooked.map((command) => command.goal)).toEqual(remote.map(drv));
  });

  it("is the reason why others wait", () => {
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: false } }).machines(machine("a", { slots: 3 }));
    run.goals(goal("lib"), target("x"), goal("app", ["lib"], { isTarget: true }), target("y"));
    run.at(2000);
    // Ended while the hook runs: what it makes ready has to wait.
    run.built(run.claim("x"));
    run.built(run.claim("lib"));
    run.received(run.claim("lib"));
    run.say(ended(1));
    expect(run.starts("app")).toHaveLength(1);
    const other = new Scenario({ hook: { type: "blocking", exceptLocal: false }, policy: "nix" }).machines(
      machine("a", { slots: 2 }),
    );
    other.goals(target("x"), target("y"), target("z"));
    other.at(2000);
    other.ask({ type: "setSlots", machine: "a" as MachineId, slots: 1 });
    other.done("x");
    other.tick(4000);
    expect(other.waits("z")).toEqual({ type: "hook", hook: "h1" });
    other.done("y");
    other.say(ended(1));
    other.say(ended(2));
    expect(other.starts("z")).toHaveLength(1);
  });

  it("is left when the run is cancelled before it began, and that is told", () => {
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: false } }).machines(machine("a", { slots: 4 }));
    run.goals(...["p", "q"].map(target));
    for (const name of ["p", "q"]) run.done(name);
    run.ask({ type: "stop", how: "cancel", reason: "asked" });
    expect(run.of("cancelHook")).toEqual([{ type: "cancelHook", hook: "h1" }]);
    expect(run.happened("hookFinished")).toMatchObject([{ hook: "h2", result: { type: "left", reason: "asked" } }]);
    run.say(ended(1, "cancelled"));
    expect(run.outcome?.exitStatus).toBe(1);
  });

  it("is not run for substituted paths", () => {
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: false } }).machines(machine("a"));
    run.goals(goal("x", [], { isTarget: true, validity: "substitutable" }));
    run.say({ type: "substitutionEnded", goal: drv("x"), failure: null });
    expect(run.happened("hookQueued")).toHaveLength(0);
    expect(run.outcome?.exitStatus).toBe(0);
  });
});
