import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../../src/engine/events/ids.ts";
import { CONNECTION_LOST, failure, goal, machine, Scenario } from "../scenario.ts";

const target = (name: string) => goal(name, [], { isTarget: true });
const MACHINERY = failure("something odd", { status: "MiscFailure" });
const SICK = failure("Read-only file system", { status: "MiscFailure" });
const states = (run: Scenario, name: string) =>
  run
    .happened("machineStateChanged")
    .filter((event) => event.machine === name)
    .map((event) => event.state.type);

describe("a machine that cannot be reached", () => {
  it("cools down, longer each time, and is tried again for ever", () => {
    const run = new Scenario({ coolDown: { firstMs: 1000, longestMs: 8000 } });
    run.say({ type: "machineAdded", spec: machine("a") });
    run.goals(target("x"));
    const waits: number[] = [];
    for (let round = 0; round < 40; round++) {
      run.lost("a");
      const state = run.happened("machineStateChanged").at(-1)!.state;
      expect(state).toMatchObject({ type: "coolingDown", reason: "connection refused", failures: round + 1 });
      const until = (state.type === "coolingDown" ? state.until : 0) - 1_000_000;
      waits.push(until - run.now);
      expect(run.of("wakeAt").at(-1)!.at).toBeLessThanOrEqual(until);
      run.tick(until);
      expect(run.of("connectMachine")).toHaveLength(round + 2);
    }
    expect(waits[0]).toBeGreaterThanOrEqual(500);
    expect(waits[0]).toBeLessThanOrEqual(1000);
    expect(Math.min(...waits.slice(5))).toBeGreaterThanOrEqual(4000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(8000);
    // Spread, so that machines that failed together do not come back together.
    expect(new Set(waits.slice(5)).size).toBeGreaterThan(10);
    run.connected("a");
    run.done("x");
    expect(run.outcome?.exitStatus).toBe(0);
  });

  it("is waited for on when the timer comes a little early, as timers do", () => {
    const run = new Scenario();
    run.say({ type: "machineAdded", spec: machine("a") });
    run.goals(target("x"));
    run.lost("a");
    const asked = run.of("wakeAt");
    const { at } = asked.at(-1)!;
    run.tick(at - 0.4);
    expect(run.of("connectMachine")).toHaveLength(1);
    expect(run.of("wakeAt")).toHaveLength(asked.length + 1);
    expect(run.of("wakeAt").at(-1)!.at).toBe(at);
    run.tick(at);
    expect(run.of("connectMachine")).toHaveLength(2);
  });

  it("does not stop the others, and says until when when it is the only one", () => {
    const run = new Scenario();
    for (const name of ["dead", "well"]) run.say({ type: "machineAdded", spec: machine(name) });
    run.goals(target("x"), target("y"));
    run.connected("well");
    run.lost("dead");
    expect(run.starts().map((start) => start.machine)).toEqual(["well"]);
    run.done("x");
    expect(run.machineOf("y")).toBe("well");

    const alone = new Scenario();
    alone.say({ type: "machineAdded", spec: machine("dead") });
    alone.goals(target("x"));
    alone.lost("dead");
    alone.tick(1500);
    expect(alone.waits("x")).toMatchObject({ type: "coolingDown", machines: ["dead"] });
  });

  it("is off when trying again cannot help, and back when the user says so", () => {
    const run = new Scenario().machines(machine("a"));
    run.say({ type: "machineAdded", spec: machine("b") });
    run.goals(target("x"), target("y"));
    run.lost("b", "host key changed", true);
    expect(states(run, "b").at(-1)).toBe("off");
    run.tick(1_000_000);
    expect(run.of("connectMachine")).toHaveLength(1);
    expect(run.ask({ type: "uncordonMachine", machine: "b" as MachineId }).done).toBe(true);
    expect(run.of("connectMachine")).toHaveLength(2);
  });
});

describe("a machine that was up and then says what trying again is said not to mend", () => {
  it("is tried again, as it may just be starting, but not for ever", () => {
    const run = new Scenario().machines(machine("a"));
    run.goals(target("x"));
    run.lost("a", "no Nix there", true);
    run.fails(run.claim("x"), CONNECTION_LOST);
    expect(states(run, "a").at(-1)).toBe("coolingDown");
    run.tick(run.now + 400_000);
    run.lost("a", "no Nix there", true);
    run.tick(run.now + 400_000);
    run.connected("a");
    expect(run.starts("x")).toHaveLength(2);
    run.lost("a");
    run.fails(run.claim("x"), CONNECTION_LOST);
    run.tick(run.now + 400_000);
    run.lostForGood("a", "no Nix there");
    expect(states(run, "a").at(-1)).toBe("off");
    expect(run.outcome?.exitStatus).toBe(100);
  });
});

describe("the last machine", () => {
  it("is tried again also when the alarm rings a moment too early", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"));
    run.lost("a");
    run.fails(run.claim("x"), CONNECTION_LOST);
    const before = run.of("connectMachine").length;
    const hasCome = (): boolean => run.of("connectMachine").length > before;
    for (let alarm = 0; alarm < 10 && !hasCome(); alarm++) {
      const asked = run.of("wakeAt").length;
      const { at } = run.of("wakeAt").at(-1)!;
      run.tick(Math.max(run.now, at - 0.5));
      // An alarm that was used up is asked for again.
      if (!hasCome()) expect(run.of("wakeAt").length).toBeGreaterThan(asked);
      run.now = at;
    }
    expect(hasCome()).toBe(true);
  });

  it("is tried at least every half minute, however often it failed", () => {
    const waits = (run: Scenario): number[] => {
      const found: number[] = [];
      for (let round = 0; round < 12; round++) {
        run.lost("a");
        const { state } = run
          .happened("machineStateChanged")
          .filter(({ machine: name }) => name === "a")
          .at(-1)!;
        const until = (state.type === "coolingDown" ? state.until : 0) - 1_000_000;
        found.push(until - run.now);
        run.tick(until);
      }
      return found;
    };
    const alone = new Scenario();
    for (const spec of [machine("a"), machine("here", { slots: 0 })]) alone.say({ type: "machineAdded", spec });
    alone.goals(target("x"));
    expect(Math.max(...waits(alone))).toBeLessThanOrEqual(30_000);

    const other = new Scenario().machines(machine("b"));
    other.say({ type: "machineAdded", spec: machine("a") });
    other.goals(target("x"), target("y"));
    expect(Math.max(...waits(other))).toBeGreaterThan(30_000);
  });
});

describe("a machine that cools down", () => {
  it("does so once, however many of its builds fail by the same cause, and those go on elsewhere at once", () => {
    const run = new Scenario().machines(machine("a", { slots: 2 }), machine("b", { slots: 4 }));
    run.goals(...["u", "v", "w", "x", "y", "z"].map(target));
    const there = run.starts().filter((start) => start.machine === "a");
    expect(there).toHaveLength(2);
    for (const start of run
      .starts()
      .filter(({ machine: other }) => other === "b")
      .slice(0, 2))
      run.built(start.claim);
    for (const { claim } of there) run.fails(claim, failure("no space left on device", { status: "MiscFailure" }));
    expect(states(run, "a").filter((state) => state === "coolingDown")).toHaveLength(1);
    expect(run.starts().slice(-2)).toMatchObject([
      { machine: "b", attempt: 2 },
      { machine: "b", attempt: 2 },
    ]);
  });
});

describe("a machine that is lost", () => {
  it("gives its builds back, which go on elsewhere at once as attempts", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(target("x"));
    const lost = run.machineOf("x")!;
    run.lost(lost, "connection reset");
    run.fails(run.claim("x"), CONNECTION_LOST);
    expect(run.starts("x")).toHaveLength(2);
    expect(run.starts("x")[1]).toMatchObject({ attempt: 2, machine: lost === "a" ? "b" : "a" });
    expect(run.happened("buildEnded")).toMatchObject([{ result: { type: "failed", kind: "machinery" } }]);
    run.done("x");
    expect(run.outcome).toMatchObject({ exitStatus: 0, failed: 0, built: 1 });
  });

  it("gets them again when it is the only one", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"));
    run.lost("a");
    run.fails(run.claim("x"), CONNECTION_LOST);
    run.tick(20_000);
    run.connected("a");
    run.tick(40_000);
    expect(run.starts("x")).toHaveLength(2);
    run.done("x");
    expect(run.outcome?.exitStatus).toBe(0);
  });

  it("spares goals that wait elsewhere a start on idle slots late", () => {
    // The round goes back while the other machine is idle: nothing else would wake the queue.
    const run = new Scenario().machines(machine("a"), machine("b", { speedFactor: 0.1 })).goals(target("x"));
    run.lost("a");
    run.fails(run.claim("x"), CONNECTION_LOST);
    expect(run.machineOf("x")).toBe("b");
  });
});

describe("machinery that fails", () => {
  it("is tried again after a while, elsewhere if possible, five times, then told with every reason", () => {
    const run = new Scenario({ suspectAfter: 100 }).machines(machine("a"), machine("b")).goals(target("x"));
    const where: string[] = [];
    for (let attempt = 1; attempt <= 5; attempt++) {
      const start = run.starts("x").at(-1)!;
      expect(start.attempt).toBe(attempt);
      where.push(start.machine);
      run.fails(start.claim, SICK);
      if (attempt < 5)
        expect(run.waits("x")).toMatchObject({
          type: "backOff",
          attempt: attempt + 1,
          lastFailure: "Read-only file system",
        });
      run.tick(run.now + 200_000);
    }
    expect(where.slice(0, 2)).toEqual(["a", "b"]);
    const result = run.result("x");
    expect(result).toMatchObject({ failure: { kind: "machinery", exitClass: "other" } });
    expect(result?.type === "failed" && result.failure.attempts).toEqual(
      where.map((name) => `${name}: Read-only file system`),
    );
    expect(run.outcome?.exitStatus).toBe(1);
  });

  it("never touches a builder's own failure", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(target("x"));
    run.fails(run.claim("x"), failure("exit 1"));
    run.tick(1_000_000);
    expect(run.starts("x")).toHaveLength(1);
  });

  it("of the wrong kind is not tried there again", () => {
    const run = new Scenario({ suspectAfter: 100 }).machines(machine("a")).goals(target("x"));
    run.fails(run.claim("x"), failure("required system or feature not available", { status: "InputRejected" }));
    run.tick(200_000);
    expect(run.starts("x")).toHaveLength(1);
    expect(run.result("x")).toMatchObject({
      failure: {
        message: expect.stringContaining("a cannot build it: required system or feature not available"),
        attempts: ["a: required system or feature not available"],
      },
    });
  });

  it("a few times in a row cools the machine down, and a full disk at once", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a", { slots: 3 }));
    run.goals(...["x", "y", "z"].map(target));
    for (const name of ["x", "y"]) run.fails(run.claim(name), MACHINERY);
    expect(states(run, "a").at(-1)).toBe("up");
    run.fails(run.claim("z"), MACHINERY);
    expect(run.happened("machineStateChanged").at(-1)!.state).toMatchObject({
      type: "coolingDown",
      reason: "3 failures in a row, the last: something odd",
    });

    const full = new Scenario().machines(machine("a")).goals(target("x"));
    full.fails(full.claim("x"), failure("No space left on device", { status: "MiscFailure" }));
    expect(full.happened("machineStateChanged").at(-1)!.state).toMatchObject({
      type: "coolingDown",
      reason: "its disk is full",
    });
  });

  it("makes a machine that fails everything fast lose precedence before that", () => {
    const run = new Scenario({ keepGoing: true, durations: () => 10_000 });
    run.machines(machine("fast", { speedFactor: 1.5 }), machine("well")).goals(...["p", "q", "r", "s"].map(target));
    const first = run.starts().find((start) => start.machine === "fast")!;
    run.fails(first.claim, failure("exit 1"));
    run.at(1000);
    run.done(["p", "q", "r", "s"].find((name) => run.machineOf(name) === "well" && run.result(name) === null)!);
    const later = run
      .starts()
      .slice(3)
      .map((start) => start.machine);
    expect(later).not.toContain("fast");
  });
});

describe("holding a machine", () => {
  const id = "a" as MachineId;

  it("cordoned keeps what runs and takes nothing new", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"), target("y"));
    expect(run.ask({ type: "cordonMachine", machine: id })).toEqual({
      done: true,
      message: "a takes nothing new; 1 build there go on",
    });
    expect(run.ask({ type: "cordonMachine", machine: id }).done).toBe(false);
    run.done("x");
    expect(run.starts("y")).toHaveLength(0);
    run.tick(2000);
    expect(run.waits("y")).toEqual({ type: "cordoned", machines: ["a"] });
    expect(run.of("disconnectMachine")).toHaveLength(0);
    run.ask({ type: "uncordonMachine", machine: id });
    expect(run.starts("y")).toHaveLength(1);
    run.done("y");
    expect(run.outcome?.exitStatus).toBe(0);
  });

  it("draining lets go of it once its outputs are fetched", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(target("x"), target("y"));
    const name = run.machineOf("x") === "a" ? "x" : "y";
    run.ask({ type: "drainMachine", machine: id });
    run.built(run.claim(name));
    expect(run.of("disconnectMachine")).toHaveLength(0);
    run.received(run.claim(name));
    expect(run.of("disconnectMachine")).toEqual([{ type: "disconnectMachine", machine: "a", reason: "drained" }]);
    expect(states(run, "a").at(-1)).toBe("draining");
  });

  it("slots are changed under running builds without harm", () => {
    const run = new Scenario().machines(machine("a", { slots: 2 })).goals(...["p", "q", "r", "s"].map(target));
    expect(run.starts()).toHaveLength(2);
    expect(run.ask({ type: "setSlots", machine: id, slots: 1 }).message).toBe("a: 1 slot once 1 build there has ended");
    run.done("p");
    expect(run.starts()).toHaveLength(2);
    run.done("q");
    expect(run.starts()).toHaveLength(3);
    run.ask({ type: "setSlots", machine: id, slots: 5 });
    expect(run.starts()).toHaveLength(4);
    expect(run.ask({ type: "setSlots", machine: id, slots: 1.5 }).done).toBe(false);
    // No slots by the user's choice is a state, not a machine that can build nothing.
    run.ask({ type: "setSlots", machine: id, slots: 0 });
    expect(run.outcome).toBeNull();
  });

  it("slots of a machine that takes nothing are answered with why it takes nothing", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(...["p", "q", "r"].map(target));
    run.ask({ type: "drainMachine", machine: id });
    const more = (slots: number) => run.ask({ type: "setSlots", machine: id, slots }).message;
    expect(more(2)).toBe("a: 2 slots, but it is draining and takes nothing new");
    run.ask({ type: "uncordonMachine", machine: id });
    run.ask({ type: "cordonMachine", machine: id });
    expect(more(3)).toBe("a: 3 slots, but it is cordoned and takes nothing new");
    run.ask({ type: "pauseDispatch" });
    expect(run.ask({ type: "uncordonMachine", machine: id }).message).toBe("a is uncordoned, but dispatch is paused");
    expect(more(4)).toBe("a: 4 slots, but dispatch is paused");
    run.ask({ type: "resumeDispatch" });
    expect(more(5)).toBe("a: 5 slots");
  });

  it("a machine without slots by its settings is no machine for a build", () => {
    const run = new Scenario().machines(machine("local", { slots: 0 })).goals(target("x"));
    expect(run.result("x")).toMatchObject({
      failure: { message: expect.stringContaining("has no slots (max-jobs is 0)") },
    });
  });
});

describe("trust", () => {
  it("keeps inputs from accounts that may not be given them", () => {
    const goals = [
      goal("lib", [], { validity: "valid" }),
      goal("src", [], { validity: "valid", addressing: "fixed" }),
      goal("x", ["lib"], { isTarget: true }),
      goal("y", ["src"], { isTarget: true }),
    ];
    const run = new Scenario({ keepGoing: true });
    run.say({ type: "machineAdded", spec: machine("shy") });
    run.connected("shy", false);
    run.goals(...goals);
    expect(run.starts().map((start) => start.goal)).toEqual([goals[3]!.goal]);
    expect(run.result("x")).toMatchObject({
      failure: {
        message: expect.stringContaining(
          "shy does not trust you, and the input 'lib' is neither signed nor content-addressed",
        ),
      },
    });
    const signed = new Scenario({ carriesSignature: (input) => input.name === "lib" });
    signed.say({ type: "machineAdded", spec: machine("shy") });
    signed.connected("shy", false);
    signed.goals(...goals);
    expect(signed.machineOf("x")).toBe("shy");
  });

  it("lets it have what it built itself", () => {
    const run = new Scenario();
    run.say({ type: "machineAdded", spec: machine("shy") });
    run.connected("shy", false);
    run.goals(goal("lib"), goal("x", ["lib"], { isTarget: true }));
    run.done("lib");
    expect(run.machineOf("x")).toBe("shy");
  });
});
