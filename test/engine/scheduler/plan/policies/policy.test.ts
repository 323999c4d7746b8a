import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../../src/engine/events/ids.ts";
import type { PlanOptions } from "../../../../../src/engine/scheduler/plan/options.ts";
import { drv, failure, goal, machine, Scenario } from "../scenario.ts";

const target = (name: string, requiredFeatures: string[] = []) =>
  goal(name, [], { isTarget: true, system: "i686-linux", requiredFeatures });
const system = { systems: ["i686-linux"] };
// Nix manual, Remote Builds.
const manual = [
  machine("scratchy", { ...system, slots: 8, speedFactor: 1, supportedFeatures: ["kvm"] }),
  machine("itchy", { ...system, slots: 8, speedFactor: 2 }),
  machine("poochie", {
    ...system,
    slots: 1,
    speedFactor: 2,
    supportedFeatures: ["kvm"],
    mandatoryFeatures: ["benchmark"],
  }),
];

describe.each(["nix", "own"] as const)("the manual's example by the policy %s, with nothing known", (policy) => {
  it.each([
    [[], "itchy"],
    [["kvm"], "scratchy"],
    [["benchmark"], "poochie"],
    [["benchmark", "kvm"], "poochie"],
  ])("%j goes to %s", (features, wanted) => {
    const run = new Scenario({ policy }).machines(...manual).goals(target("x", features));
    expect(run.machineOf("x")).toBe(wanted);
  });

  it("prefers itchy for regular builds, and uses scratchy when it is full", () => {
    const names = Array.from({ length: 17 }, (_, index) => `g${index}`);
    const run = new Scenario({ policy }).machines(...manual).goals(...names.map((name) => target(name)));
    const counts = Map.groupBy(run.starts(), (start) => start.machine);
    expect(run.starts()[0]!.machine).toBe("itchy");
    expect(counts.get("itchy" as MachineId)).toHaveLength(8);
    expect(counts.get("scratchy" as MachineId)!.length).toBeGreaterThan(0);
    expect(counts.has("poochie" as MachineId)).toBe(false);
  });
});

describe("Nix's policy", () => {
  const start = (...names: string[]) => names.map((name) => target(name));

  it("waits a moment for machines that are being connected to, as if they were there", () => {
    const run = new Scenario({ policy: "nix" });
    const fast = machine("fast", { ...system, slots: 2, speedFactor: 4 });
    for (const spec of [machine("local", { ...system, slots: 4 }), machine("slow", { ...system }), fast]) {
      run.say({ type: "machineAdded", spec });
    }
    run.connected("local");
    run.goals(...start("p", "q", "r", "s"));
    // Two would go to fast and one to slow; what is left is built here, as Nix does when its hook declines.
    expect(run.starts().map(({ goal: id, machine: on }) => [id, on])).toEqual([[drv("s"), "local"]]);
    run.at(800).connected("slow");
    run.at(1000).connected("fast");
    expect(["p", "q", "r"].map((name) => run.machineOf(name))).toEqual(["fast", "slow", "fast"]);
  });

  it("waits for none that keeps it waiting", () => {
    const run = new Scenario({ policy: "nix" });
    for (const spec of [machine("near", system), machine("far", { ...system, speedFactor: 9 })]) {
      run.say({ type: "machineAdded", spec });
    }
    run.connected("near");
    run.goals(...start("p"));
    expect(run.machineOf("p")).toBeNull();
    for (let now = 1000; now <= 20_000 && run.machineOf("p") === null; now += 1000) run.tick(now);
    expect(run.machineOf("p")).toBe("near");
    expect(run.now).toBeGreaterThanOrEqual(5000);
    expect(run.now).toBeLessThanOrEqual(7000);
  });

  it("takes goals in the order they came, machines by load over speed, then speed, then load", () => {
    const machines = [
      machine("slow", { ...system, slots: 4 }),
      machine("fast", { ...system, slots: 4, speedFactor: 2 }),
    ];
    const run = new Scenario({ policy: "nix" }).machines(...machines).goals(...start("p", "q", "r", "s", "t"));
    // fast 0/2, then slow 0/1 beats fast 1/2, then fast 1/2, then both 1: the faster, then slow 1/1 beats fast 3/2.
    expect(run.starts().map(({ goal: id, machine: on }) => `${id === drv("p") ? "p" : ""}${on}`)).toEqual([
      "pfast",
      "slow",
      "fast",
      "fast",
      "slow",
    ]);
  });

  it("asks remote machines before it builds here, but what prefers the local machine stays", () => {
    const machines = [machine("local", { ...system, slots: 2 }), machine("a", system)];
    const run = new Scenario({ policy: "nix" }).machines(...machines);
    run.goals(goal("mine", [], { isTarget: true, system: "i686-linux", preferLocalBuild: true }), ...start("p", "q"));
    expect([run.machineOf("mine"), run.machineOf("p"), run.machineOf("q")]).toEqual(["local", "a", "local"]);
  });
});

describe("preferring the local machine", () => {
  it("waits for it, unless it cannot build it at all", () => {
    const options: Partial<PlanOptions> = { policy: "own" };
    const mine = (name: string) => goal(name, [], { isTarget: true, preferLocalBuild: true });
    const run = new Scenario(options).machines(machine("local"), machine("a", { slots: 5, speedFactor: 9 }));
    run.goals(mine("x"), mine("y"));
    expect(run.starts().map((each) => each.machine)).toEqual(["local"]);
    run.done("x");
    expect(run.machineOf("y")).toBe("local");
    const broken = new Scenario(options).machines(machine("local"));
    broken.say({ type: "machineAdded", spec: machine("a") });
    broken.goals(mine("x"));
    expect(broken.of("connectMachine")).toHaveLength(0);
    const refusal = failure("required system or feature not available", { status: "InputRejected" });
    broken.fails(broken.claim("x"), refusal);
    broken.tick(2000);
    broken.connected("a");
    expect(broken.machineOf("x")).toBe("a");
    const none = new Scenario(options).machines(machine("local", { slots: 0 }), machine("a")).goals(mine("x"));
    expect(none.machineOf("x")).toBe("a");
  });
});

describe("our own policy", () => {
  it("builds the longest chain first", () => {
    const lengths: Record<string, number> = { short: 1000, long: 50_000, base: 1000, app: 60_000 };
    const run = new Scenario({ durations: ({ name }) => lengths[name] ?? null }).machines(machine("a"));
    run.goals(
      goal("short", [], { isTarget: true }),
      goal("long", [], { isTarget: true }),
      goal("base"),
      goal("app", ["base"], { isTarget: true }),
    );
    for (const name of ["base", "long", "app", "short"]) run.done(name);
    expect(run.starts().map((start) => start.goal)).toEqual(["base", "long", "app", "short"].map(drv));
  });

  it("waits for a faster machine when that ends sooner, says so, and thinks again when it takes longer", () => {
    const durations: PlanOptions["durations"] = (_, { speedFactor }) => 100_000 / speedFactor;
    const run = new Scenario({ durations }).machines(machine("fast", { speedFactor: 10 }), machine("slow"));
    run.goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
    expect(run.machineOf("x")).toBe("fast");
    expect(run.machineOf("y")).toBeNull();
    expect(run.waits("y")).toEqual({
      type: "betterMachine",
      machine: "fast",
      expectedAt: 1_000_000 + 10_000,
      because: expect.stringMatching(/^ends there in 3\d s, on slow in 100 s or later, .*; not for longer than \d+ s$/),
    });
    // The wait has an end: the idle slot is taken when the wait has stopped to pay.
    for (let now = 1000; now <= 600_000 && run.machineOf("y") === null; now += 1000) run.tick(now);
    expect(run.machineOf("y")).toBe("slow");
    expect(run.now).toBeGreaterThan(100_000);
  });

  it("learns how fast a machine is sent to, but not from what is too small to tell", () => {
    const sent = (bytes: number, durationMs: number) =>
      ({ type: "machineSent", machine: "a" as MachineId, bytes, durationMs }) as const;
    const run = new Scenario({ sendRate: 1_000_000, durations: () => 10_000 }).machines(machine("a"), machine("b"));
    run.say(sent(1000, 500));
    run.goals(goal("x", [], { isTarget: true, inputBytes: 2_000_000 }));
    expect(run.machineOf("x")).toBe("a");
    const slow = new Scenario({ sendRate: 1_000_000, durations: () => 10_000 }).machines(machine("a"), machine("b"));
    slow.say(sent(1_000_000, 4000));
    slow.goals(goal("x", [], { isTarget: true, inputBytes: 2_000_000 }));
    expect(slow.machineOf("x")).toBe("b");
    expect(slow.happened("buildAssigned")[0]!.explanation).toBe(
      "ends first on b, in 12 s (known from earlier builds, within 1.5 times); next best a in 18 s",
    );
  });

  it("prefers the machine that has the inputs when sending them would take longer", () => {
    const run = new Scenario({ sendRate: 1_000_000, durations: () => 10_000 }).machines(machine("a"), machine("b"));
    run.goals(
      goal("lib"),
      goal("app", ["lib"], { isTarget: true }),
      goal("small"),
      goal("tool", ["small"], { isTarget: true }),
    );
    const where = run.machineOf("lib")!;
    const big = { name: "out", path: "p", narHash: "aa", narSize: 100_000_000n };
    run.built(run.claim("small"));
    run.received(run.claim("small"));
    run.built(run.claim("lib"), [big]);
    run.received(run.claim("lib"));
    expect(run.machineOf("app")).toBe(where);
  });

  it("counts load that is not its own against a machine", () => {
    const run = new Scenario({ durations: () => 10_000 }).machines(machine("a", { speedFactor: 1.1 }), machine("b"));
    run.say({ type: "machineLoad", machine: "a" as MachineId, load1: 32, cores: 8 });
    run.say({ type: "machineLoad", machine: "b" as MachineId, load1: 0, cores: 8 });
    run.goals(goal("x", [], { isTarget: true }));
    expect(run.machineOf("x")).toBe("b");
  });

  it("has nobody wait for a machine only because its load is not measured", () => {
    const run = new Scenario().machines(machine("a", { slots: 1 }), machine("b", { slots: 1 }));
    run.say({ type: "machineLoad", machine: "a" as MachineId, load1: 32, cores: 8 });
    run.goals(goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true }));
    expect([run.machineOf("x"), run.machineOf("y")].toSorted()).toEqual(["a", "b"]);
  });

  it("waits a moment for a faster machine that is being connected to, not for ever", () => {
    const durations: PlanOptions["durations"] = (_, { speedFactor }) => 60_000 / speedFactor;
    const run = new Scenario({ durations });
    for (const spec of [machine("here"), machine("far", { speedFactor: 4 })]) run.say({ type: "machineAdded", spec });
    run.goals(goal("x", [], { isTarget: true }));
    run.connected("here");
    expect(run.machineOf("x")).toBeNull();
    for (let now = 1000; now <= 400_000 && run.machineOf("x") === null; now += 1000) run.tick(now);
    expect(run.machineOf("x")).toBe("here");
    expect(run.now).toBeGreaterThan(5000);
  });

  it("explains its choice", () => {
    const run = new Scenario({ durations: (_, { speedFactor }) => 30_000 / speedFactor });
    run
      .machines(machine("fast", { speedFactor: 2 }), machine("slow"))
      .goals(goal("lib"), goal("x", ["lib"], { isTarget: true }));
    expect(run.happened("buildAssigned")[0]).toMatchObject({
      explanation:
        "ends first on fast, in 15 s (known from earlier builds, within 1.5 times); next best slow in 30 s; builds worth 30 s wait for it",
      expectedMs: 15_000,
    });
  });
});
