import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../src/engine/events/ids.ts";
import { drv, failure, goal, machine, Scenario } from "./scenario.ts";

const target = (name: string, inputs: string[] = []) => goal(name, inputs, { isTarget: true });

describe("cancelling one build", () => {
  it("stops it wherever it is, and what needs it is not built", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a"), machine("b"));
    run.goals(goal("lib"), target("app", ["lib"]), target("other"));
    expect(run.ask({ type: "cancelGoal", goal: drv("lib") })).toEqual({ done: true, message: "'lib' is cancelled" });
    expect(run.of("cancelClaim")).toMatchObject([{ claim: run.claim("lib"), reason: "cancelled by the user" }]);
    run.cancelled(run.claim("lib"));
    expect(run.result("lib")).toEqual({ type: "cancelled", reason: "cancelled by the user" });
    expect(run.result("app")).toEqual({
      type: "notBuilt",
      because: drv("lib"),
      reason: "its input 'lib' was cancelled",
    });
    run.done("other");
    expect(run.outcome).toMatchObject({ exitStatus: 1, cancelled: 1, notBuilt: 1, built: 1, interrupted: false });
  });

  it("does not stop the run, with or without keep-going", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    run.ask({ type: "cancelGoal", goal: drv("y") });
    run.done("x");
    expect(run.outcome).toMatchObject({ built: 1, cancelled: 1 });
  });

  it("prunes what waits for it alone, but keeps what runs and what others need", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a"));
    run.goals(
      goal("runs"),
      goal("waits"),
      goal("shared"),
      target("app", ["runs", "waits", "shared"]),
      target("b", ["shared"]),
    );
    const running = run.starts()[0]!.goal;
    const answer = run.ask({ type: "cancelGoal", goal: drv("app") });
    expect(answer.done).toBe(true);
    const ended = ["runs", "waits", "shared"].filter((name) => run.result(name) !== null);
    expect(ended).not.toContain("shared");
    expect(ended.map(drv)).not.toContain(running);
    expect(run.of("cancelClaim")).toHaveLength(0);
  });

  it("that has ended, is over already, or never was, is refused with the reason", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a")).goals(target("x"), target("y"));
    run.done("x");
    expect(run.ask({ type: "cancelGoal", goal: drv("x") })).toEqual({ done: false, message: "'x' has ended already" });
    expect(run.ask({ type: "cancelGoal", goal: drv("nil") }).message).toBe(`${drv("nil")} is not part of this run`);
    run.ask({ type: "cancelGoal", goal: drv("y") });
    expect(run.ask({ type: "cancelGoal", goal: drv("y") }).message).toBe("'y' is ending already");
    // It ended meanwhile: that is its end all the same.
    run.built(run.claim("y"));
    expect(run.result("y")?.type).toBe("cancelled");
    expect(run.ask({ type: "cancelGoal", goal: drv("y") }).message).toBe("the run is over");
  });

  it("stops a substitution", () => {
    const run = new Scenario()
      .machines(machine("a"))
      .goals(goal("x", [], { isTarget: true, validity: "substitutable" }));
    run.ask({ type: "cancelGoal", goal: drv("x") });
    expect(run.of("cancelSubstitution")).toHaveLength(1);
    run.say({ type: "substitutionEnded", goal: drv("x"), failure: { type: "failed", reason: "cancelled" } });
    expect(run.result("x")?.type).toBe("cancelled");
  });
});

describe("trying again", () => {
  it("reopens the goal and what needed it", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a"));
    run.goals(goal("lib"), target("app", ["lib"]), target("long"));
    run.fails(run.claim("lib"), failure("exit 1"));
    expect(run.result("app")?.type).toBe("notBuilt");
    expect(run.ask({ type: "retryGoal", goal: drv("lib") })).toEqual({
      done: true,
      message: "'lib' is tried again, with 1 more",
    });
    expect(run.happened("goalReopened").map((event) => event.goal)).toEqual([drv("lib"), drv("app")]);
    run.done("long");
    run.done("lib");
    run.done("app");
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 3, failed: 0, notBuilt: 0 });
  });

  it("of what needed it reopens it, too", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a"));
    run.goals(goal("lib"), target("app", ["lib"]), target("long"));
    run.fails(run.claim("lib"), failure("exit 1"));
    expect(run.ask({ type: "retryGoal", goal: drv("app") }).done).toBe(true);
    expect(run.happened("goalReopened")).toHaveLength(2);
  });

  it("all that failed, or nothing", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a", { slots: 3 }));
    run.goals(target("p"), target("q"), target("r"));
    expect(run.ask({ type: "retryFailed" })).toEqual({ done: false, message: "nothing has failed" });
    for (const name of ["p", "q"]) run.fails(run.claim(name), failure("exit 1"));
    expect(run.ask({ type: "retryFailed" })).toEqual({ done: true, message: "2 failed builds are tried again" });
    for (const name of ["p", "q", "r"]) run.done(name);
    expect(run.outcome?.exitStatus).toBe(0);
  });

  it("while the run ends because of it lifts the end", () => {
    const run = new Scenario().machines(machine("a"), machine("b"));
    run.goals(target("bad"), target("slow"), target("later"));
    const slow = run.claim("slow");
    run.fails(run.claim("bad"), failure("exit 1"));
    expect(run.result("later")?.type).toBe("notBuilt");
    run.ask({ type: "retryGoal", goal: drv("bad") });
    run.cancelled(slow);
    run.done("bad");
    run.done("later");
    expect(run.result("later")?.type).toBe("built");
  });

  it("is waited for after a failure where somebody watches, as often as it takes", () => {
    const run = new Scenario({ holdWhenFailed: true }).machines(machine("a", { slots: 2 }));
    run.goals(target("bad"), target("app", ["bad"]), target("good"));
    run.done("good");
    run.fails(run.claim("bad"), failure("exit 1"));
    expect(run.happened("runHeld")).toMatchObject([{ exitStatus: 100 }]);
    expect(run.outcome).toBeNull();
    // Whatever else happens meanwhile, it is said once.
    run.ask({ type: "cordonMachine", machine: machine("a").machine });
    run.ask({ type: "uncordonMachine", machine: machine("a").machine });
    expect(run.happened("runHeld")).toHaveLength(1);

    expect(run.ask({ type: "retryFailed" }).done).toBe(true);
    run.fails(run.claim("bad"), failure("exit 1"));
    expect(run.happened("runHeld")).toHaveLength(2);
    expect(run.outcome).toBeNull();
    expect(run.ask({ type: "retryGoal", goal: drv("bad") }).done).toBe(true);
    expect(run.ask({ type: "leave" })).toEqual({ done: false, message: "the run goes on; stop it first" });
    run.done("bad");
    run.done("app");
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 3, failed: 0 });
  });

  it("is not waited for any more once the user has left, with the status of the failure", () => {
    const run = new Scenario({ holdWhenFailed: true }).machines(machine("a"));
    run.goals(target("bad"));
    run.fails(run.claim("bad"), failure("exit 1"));
    expect(run.ask({ type: "leave" })).toEqual({ done: true, message: "the run ends" });
    expect(run.outcome).toMatchObject({ exitStatus: 100, interrupted: false });
  });

  it("is not waited for when the run was stopped, nor when all is well", () => {
    const stopped = new Scenario({ holdWhenFailed: true, keepGoing: true }).machines(machine("a", { slots: 2 }));
    stopped.goals(target("bad"), target("slow"));
    const [bad, slow] = [stopped.claim("bad"), stopped.claim("slow")];
    stopped.fails(bad, failure("exit 1"));
    stopped.ask({ type: "stop", how: "cancel", reason: "test" });
    stopped.cancelled(slow);
    expect(stopped.outcome?.interrupted).toBe(true);
    const well = new Scenario({ holdWhenFailed: true }).machines(machine("a"));
    well.goals(target("good"));
    well.done("good");
    expect(well.outcome?.exitStatus).toBe(0);
  });

  it("is refused for what is done or has not ended", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    run.done("x");
    expect(run.ask({ type: "retryGoal", goal: drv("x") }).message).toBe("'x' is done; there is nothing to try again");
    expect(run.ask({ type: "retryGoal", goal: drv("y") }).message).toBe("'y' has not ended");
  });
});

describe("build next", () => {
  it("puts a goal and what it waits for before everything else", () => {
    const run = new Scenario({ policy: "nix" }).machines(machine("a"));
    run.goals(target("p"), target("q"), target("r"), goal("lib"), target("app", ["lib"]), target("s"));
    expect(run.ask({ type: "buildNext", goal: drv("app") })).toEqual({
      done: true,
      message: "'app' goes next, with 1 builds it waits for",
    });
    // The slot that lib leaves is taken before lib's outputs have come, and app may start.
    const order = ["p", "lib", "q", "app", "r", "s"];
    for (const name of order) run.done(name);
    expect(run.starts().map((start) => start.goal)).toEqual(order.map(drv));
  });

  it("is refused for what runs or has ended", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    expect(run.ask({ type: "buildNext", goal: drv("x") }).message).toBe("'x' is being built");
    run.done("x");
    expect(run.ask({ type: "buildNext", goal: drv("x") }).message).toBe("'x' has ended already");
  });
});

describe("pausing", () => {
  it("starts nothing until it is resumed", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    expect(run.ask({ type: "pauseDispatch" }).done).toBe(true);
    expect(run.ask({ type: "pauseDispatch" }).done).toBe(false);
    run.done("x");
    expect(run.starts("y")).toHaveLength(0);
    run.tick(3000);
    expect(run.waits("y")).toEqual({ type: "paused" });
    run.ask({ type: "resumeDispatch" });
    expect(run.starts("y")).toHaveLength(1);
    expect(run.ask({ type: "resumeDispatch" }).done).toBe(false);
  });
});

describe("stopping", () => {
  it("is not undone by pausing or going on, and says so", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    run.ask({ type: "stop", how: "drain", reason: "asked" });
    for (const type of ["pauseDispatch", "resumeDispatch"] as const)
      expect(run.ask({ type })).toEqual({
        done: false,
        message: "the run finishes what runs: nothing starts any more",
      });
    expect(run.happened("dispatchPaused")).toEqual([]);
    expect(run.ask({ type: "setSlots", machine: "a" as MachineId, slots: 2 }).message).toBe(
      "a: 2 slots, but the run finishes what runs: nothing starts any more",
    );
    run.ask({ type: "stop", how: "cancel", reason: "asked" });
    expect(run.ask({ type: "resumeDispatch" }).message).toBe("the run is being cancelled: nothing starts any more");
  });

  it("in two stages: what runs finishes, then what runs is cancelled", () => {
    const run = new Scenario().machines(machine("a"), machine("b"));
    run.goals(target("x"), target("y"), target("z"));
    expect(run.ask({ type: "stop", how: "drain", reason: "asked" }).done).toBe(true);
    expect(run.result("z")).toEqual({ type: "notBuilt", because: null, reason: "asked" });
    expect(run.of("cancelClaim")).toHaveLength(0);
    run.done("x");
    expect(run.result("x")?.type).toBe("built");
    expect(run.ask({ type: "stop", how: "drain", reason: "asked" }).done).toBe(false);
    run.say({ type: "stop", request: null, how: "cancel", reason: "SIGTERM" });
    expect(run.of("cancelClaim")).toHaveLength(1);
    run.cancelled(run.claim("y"));
    expect(run.outcome).toMatchObject({ exitStatus: 130, interrupted: true, built: 1, cancelled: 1, notBuilt: 1 });
    expect(run.happened("runStopping").map((event) => event.how)).toEqual(["drain", "cancel"]);
  });

  it("when nothing is left to do is no interruption", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"));
    run.ask({ type: "stop", how: "drain", reason: "asked" });
    run.done("x");
    expect(run.outcome).toMatchObject({ exitStatus: 0, interrupted: false });
  });

  it("before goals are complete does not wait for them, and takes none after", () => {
    const run = new Scenario().machines(machine("a"));
    run.say({ type: "goalsAdded", goals: [target("x")] });
    run.ask({ type: "stop", how: "drain", reason: "asked" });
    run.say({ type: "goalsAdded", goals: [target("y")] });
    expect(run.result("y")?.type).toBe("notBuilt");
    run.done("x");
    expect(run.outcome?.exitStatus).toBe(130);
  });
});

it("a machine that does not exist is named in the refusal", () => {
  const run = new Scenario().machines(machine("a")).goals(target("x"));
  expect(run.ask({ type: "drainMachine", machine: "nil" as MachineId }).message).toBe("there is no machine 'nil'");
});
