import { describe, expect, it } from "vitest";
import { drv, failure, goal, machine, Scenario } from "./scenario.ts";

describe("a run", () => {
  it("builds inputs before what needs them, and ends", () => {
    const run = new Scenario().machines(machine("a"), machine("b"));
    run.goals(goal("lib"), goal("doc"), goal("app", ["lib", "doc"], { isTarget: true }));
    expect(run.starts().map((start) => start.goal)).toEqual([drv("lib"), drv("doc")]);
    run.built(run.claim("lib"));
    expect(run.of("receiveOutputs")).toHaveLength(1);
    run.received(run.claim("lib"));
    expect(run.starts("app")).toHaveLength(0);
    run.done("doc");
    expect(run.starts("app")).toHaveLength(1);
    run.done("app");
    expect(run.outcome).toMatchObject({
      exitStatus: 0,
      built: 3,
      failed: 0,
      outputs: [goal("app").outputPaths[0]!.path],
    });
    expect(run.result("app")).toMatchObject({ type: "built", rounds: 1, nonDeterministic: false, durationMs: 1000 });
  });

  it("does nothing for what nobody needs", () => {
    const run = new Scenario().machines(machine("a"));
    run.goals(
      goal("compiler"),
      goal("lib", ["compiler"], { validity: "valid" }),
      goal("app", ["lib"], { isTarget: true }),
    );
    expect(run.starts().map((start) => start.goal)).toEqual([drv("app")]);
    expect(run.result("lib")?.type).toBe("alreadyValid");
    const added = run.happened("goalsAdded").flatMap((event) => event.goals.map((each) => each.name));
    expect(added).toEqual(["lib", "app"]);
    run.done("app");
    expect(run.outcome).toMatchObject({ built: 1, alreadyValid: 1, notBuilt: 0 });
  });

  it("ends at once when everything is there", () => {
    const run = new Scenario().machines(machine("a")).goals(goal("app", [], { isTarget: true, validity: "valid" }));
    expect(run.outcome).toMatchObject({ exitStatus: 0, alreadyValid: 1 });
    expect(run.of("connectMachine")).toHaveLength(0);
  });

  it("frees a slot as soon as the build is over, before the outputs have come", () => {
    const run = new Scenario().machines(machine("a"));
    run.goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
    expect(run.starts()).toHaveLength(1);
    run.built(run.starts()[0]!.claim);
    expect(run.starts()).toHaveLength(2);
  });

  it("takes goals while it runs, and waits for the last", () => {
    const run = new Scenario().machines(machine("a"));
    run.say({ type: "goalsAdded", goals: [goal("x", [], { isTarget: true })] });
    run.done("x");
    expect(run.outcome).toBeNull();
    run.say({ type: "goalsAdded", goals: [goal("y", ["x"], { isTarget: true })] });
    run.say({ type: "goalsComplete" });
    run.done("y");
    expect(run.outcome).toMatchObject({ built: 2 });
  });

  it("refuses goals whose inputs it was never told of, and circles", () => {
    const run = new Scenario().machines(machine("a"));
    expect(() => run.goals(goal("x", ["y"], { isTarget: true }))).toThrow(/never added/);
    expect(() => new Scenario().goals(goal("x", ["y"]), goal("y", ["x"]))).toThrow(/needs itself/);
  });

  it("connects machines when they are needed, all at once, and waits until they are there", () => {
    const run = new Scenario();
    for (const name of ["a", "b"]) run.say({ type: "machineAdded", spec: machine(name) });
    run.say({ type: "machineAdded", spec: machine("mac", { systems: ["x86_64-darwin"] }) });
    expect(run.of("connectMachine")).toHaveLength(0);
    run.goals(goal("x", [], { isTarget: true }));
    expect(run.of("connectMachine").map((command) => command.machine)).toEqual(["a", "b"]);
    expect(run.waits("x")).toEqual({ type: "connecting", machines: ["a", "b"] });
    run.connected("b");
    expect(run.machineOf("x")).toBe("b");
  });

  it("counts what a machine had already as already there, and runs no hook for it", () => {
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: false } })
      .machines(machine("a"))
      .goals(goal("x", [], { isTarget: true }));
    run.built(run.claim("x"), [], [], false);
    run.received(run.claim("x"));
    expect(run.outcome).toMatchObject({ alreadyValid: 1, built: 0 });
    expect(run.of("runPostBuildHook")).toHaveLength(0);
  });

  it("counts what its own lost claim had built as built, and runs its hook", () => {
    const lost = failure("the connection was lost", { origin: "connection", status: null });
    const run = new Scenario({ hook: { type: "blocking", exceptLocal: false } })
      .machines(machine("a"))
      .goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
    const asked = run.claim("x");
    run.say({ type: "claimStage", claim: asked, stage: "sendingInputs" });
    run.say({ type: "claimStage", claim: asked, stage: "building" });
    run.fails(asked, lost);
    // This one was lost before the machine was asked.
    run.say({ type: "claimStage", claim: run.claim("y"), stage: "sendingInputs" });
    run.fails(run.claim("y"), lost);
    for (let now = 1000; now < 200_000 && run.starts().length < 4; now += 1000) run.tick(now);
    for (const name of ["x", "y"]) {
      run.built(run.claim(name), [], [], false);
      run.received(run.claim(name));
    }
    expect(run.result("y")?.type).toBe("alreadyValid");
    const hooks = run.of("runPostBuildHook");
    expect(hooks.map((command) => command.goal)).toEqual([drv("x")]);
  });
});

describe("substitution", () => {
  const substitutable = goal("lib", ["compiler"], { validity: "substitutable" });
  const goals = [goal("compiler"), substitutable, goal("app", ["lib"], { isTarget: true })];

  it("makes inputs valid without building them", () => {
    const run = new Scenario().machines(machine("a")).goals(...goals);
    expect(run.of("startSubstitution")).toEqual([{ type: "startSubstitution", goal: drv("lib") }]);
    expect(run.starts()).toHaveLength(0);
    run.say({ type: "substitutionEnded", goal: drv("lib"), failure: null });
    expect(run.starts().map((start) => start.goal)).toEqual([drv("app")]);
    run.done("app");
    expect(run.outcome).toMatchObject({ substituted: 1, built: 1 });
  });

  it("that fails is a failure, in Nix's words", () => {
    const run = new Scenario().machines(machine("a")).goals(...goals);
    run.say({ type: "substitutionEnded", goal: drv("lib"), failure: { type: "failed", reason: "404" } });
    expect(run.result("lib")).toMatchObject({
      type: "failed",
      failure: {
        message: `some substitutes for the outputs of derivation '${drv("lib")}' failed (usually happens due to networking issues); try '--fallback' to build derivation from source `,
      },
    });
    expect(run.result("app")).toMatchObject({ type: "notBuilt", because: drv("lib") });
    expect(run.outcome?.exitStatus).toBe(1);
  });

  it("that turns out not to be had is built without fallback, with a warning", () => {
    const run = new Scenario().machines(machine("a")).goals(...goals);
    run.say({ type: "substitutionEnded", goal: drv("lib"), failure: { type: "gone", reason: "nobody has it" } });
    expect(run.happened("noticeRaised")).toMatchObject([
      { level: "warning", code: "SUBSTITUTE_PASSED_OVER", message: "nobody has it; 'lib' is built instead" },
    ]);
    for (const name of ["compiler", "lib", "app"]) run.done(name);
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 3 });
  });

  it("that fails is built with fallback, and wakes the inputs for that", () => {
    const run = new Scenario({ fallback: true }).machines(machine("a")).goals(...goals);
    run.say({ type: "substitutionEnded", goal: drv("lib"), failure: { type: "failed", reason: "404" } });
    expect(run.starts().map((start) => start.goal)).toEqual([drv("compiler")]);
    run.done("compiler");
    run.done("lib");
    run.done("app");
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 3 });
  });

  it("of a plain path that no one has says so", () => {
    const path = goal("p", [], { kind: "path", validity: "missing", isTarget: true });
    const run = new Scenario().machines(machine("a")).goals(path);
    expect(run.result("p")).toMatchObject({ failure: { status: "NoSubstituters" } });
  });
});

describe("a failure", () => {
  const goals = [
    goal("bad", [], { isTarget: true }),
    goal("slow", [], { isTarget: true }),
    goal("later", [], { isTarget: true }),
    goal("app", ["bad"], { isTarget: true }),
  ];

  it("cancels what runs and starts nothing new without keep-going, as Nix does", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(...goals);
    const [bad, slow] = [run.claim("bad"), run.claim("slow")];
    run.fails(bad, failure("builder failed with exit code 3"));
    expect(run.of("cancelClaim").map((command) => command.claim)).toEqual([slow]);
    expect(run.outcome).toBeNull();
    run.cancelled(slow);
    expect(run.result("slow")?.type).toBe("cancelled");
    expect(run.result("later")).toMatchObject({ type: "notBuilt", because: drv("bad") });
    expect(run.result("app")).toMatchObject({ type: "notBuilt", because: drv("bad") });
    expect(run.outcome).toMatchObject({ exitStatus: 100, failed: 1, cancelled: 1, notBuilt: 2, interrupted: false });
  });

  it("spoils only what needs it with keep-going", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a"), machine("b")).goals(...goals);
    run.fails(run.claim("bad"), failure("builder failed with exit code 3"));
    expect(run.of("cancelClaim")).toHaveLength(0);
    run.done("slow");
    run.done("later");
    expect(run.result("app")).toMatchObject({
      type: "notBuilt",
      because: drv("bad"),
      reason: "its input 'bad' failed",
    });
    expect(run.outcome).toMatchObject({ exitStatus: 100, failed: 1, built: 2, notBuilt: 1 });
  });

  it("is told with everything that is known of it", () => {
    const run = new Scenario().machines(machine("a")).goals(goal("bad", [], { isTarget: true }));
    const more = { logTail: ["boom"], logFile: "/log", keptDirectory: "a:/tmp/nix-build-bad" };
    run.fails(run.claim("bad"), failure("builder failed with exit code 3; last 1 log lines:\n> boom", more));
    expect(run.result("bad")).toEqual({
      type: "failed",
      failure: {
        kind: "final",
        status: "PermanentFailure",
        exitClass: "build",
        message: "builder failed with exit code 3",
        machine: "a",
        attempts: [],
        ...more,
      },
    });
  });

  it("of a build that no machine can take comes at once, without building its inputs", () => {
    const run = new Scenario().machines(machine("a"), machine("b"));
    run.goals(goal("lib"), goal("vm", ["lib"], { isTarget: true, requiredFeatures: ["kvm"] }));
    expect(run.starts()).toHaveLength(0);
    expect(run.result("vm")).toMatchObject({
      failure: { message: `cannot build '${drv("vm")}': no machine has feature 'kvm': a (none), b (none)` },
    });
    expect(run.outcome?.exitStatus).toBe(100);
  });

  it("of a build that no machine can take any more comes when the last is off", () => {
    const run = new Scenario()
      .machines(machine("a"))
      .goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
    const claim = run.claim("x");
    run.lost("a", "host key changed", true);
    run.fails(claim, failure("gone", { origin: "connection", status: null }));
    run.lostForGood("a", "host key changed");
    for (const name of ["x", "y"]) expect(["failed", "cancelled", "notBuilt"]).toContain(run.result(name)?.type);
    expect(JSON.stringify(run.events)).toContain("a is off: host key changed");
    expect(run.outcome?.exitStatus).toBe(100);
  });
});

describe("check", () => {
  const checked = goal("x", ["lib"], { isTarget: true, validity: "valid", check: true });

  it("builds what is valid again and compares it with the store", () => {
    const run = new Scenario().machines(machine("a")).goals(goal("lib", [], { validity: "valid" }), checked);
    expect(run.starts("x")[0]?.compare).toEqual({ type: "check" });
    run.built(run.claim("x"));
    expect(run.of("receiveOutputs")).toHaveLength(0);
    expect(run.outcome).toMatchObject({ exitStatus: 0, built: 1 });
    expect(run.happened("roundFinished")).toMatchObject([{ verdict: "same" }]);
  });

  it.each([false, true])("fails with Nix's words and status when it differs (enforced: %s)", (enforceDeterminism) => {
    const run = new Scenario({ enforceDeterminism })
      .machines(machine("a"))
      .goals(goal("lib", [], { validity: "valid" }), checked);
    run.built(run.claim("x"), [], ["out"]);
    const path = checked.outputPaths[0]!.path;
    expect(run.result("x")).toMatchObject({
      failure: { message: `derivation '${drv("x")}' may not be deterministic: output '${path}' differs` },
    });
    expect(run.outcome?.exitStatus).toBe(104);
  });

  it("takes the machine's own word for it", () => {
    const run = new Scenario().machines(machine("a")).goals(goal("lib", [], { validity: "valid" }), checked);
    run.fails(run.claim("x"), failure("output 'a' differs from 'a.check'", { status: "NotDeterministic" }));
    expect(run.result("x")).toMatchObject({
      failure: { message: "output 'a' differs from 'a.check'", status: "NotDeterministic" },
    });
    expect(run.happened("roundFinished")).toMatchObject([{ verdict: "differs" }]);
    expect(run.outcome?.exitStatus).toBe(104);
  });
});
