import { describe, expect, it } from "vitest";
import type { PlanOptions } from "../../../../../src/engine/scheduler/plan/options.ts";
import { CONNECTION_LOST, failure, goal, machine, output, Scenario } from "../scenario.ts";

const twice = goal("x", [], { isTarget: true, rounds: 2 });
const thrice = goal("x", [], { isTarget: true, rounds: 3 });
const run = (options: Partial<PlanOptions>, names: readonly string[], goals = [twice]) =>
  new Scenario(options).machines(...names.map((name) => machine(name, { slots: 2 }))).goals(...goals);
const verdicts = (of: Scenario) =>
  of.happened("roundFinished").map((event) => `${event.round}/${event.rounds} ${event.verdict}`);

describe("rounds on the same machine", () => {
  it("follow one another, compared with the first, and only then are the outputs fetched", () => {
    const r = run({ roundsOn: "same" }, ["a", "b"]);
    const [first] = r.starts();
    expect(first).toMatchObject({ round: 1, rounds: 2, compare: { type: "none" } });
    r.built(first!.claim);
    const second = r.starts()[1]!;
    expect(second).toMatchObject({
      machine: first!.machine,
      round: 2,
      compare: { type: "round", first: first!.claim },
    });
    expect(r.of("receiveOutputs")).toHaveLength(0);
    r.built(second.claim);
    expect(r.of("receiveOutputs")).toEqual([{ type: "receiveOutputs", claim: first!.claim }]);
    r.received(first!.claim);
    expect(r.result("x")).toMatchObject({ type: "built", rounds: 2, nonDeterministic: false });
    expect(verdicts(r)).toEqual(["1/2 first", "2/2 same"]);
    expect(r.outcome?.exitStatus).toBe(0);
  });

  it("fail at the first difference when enforced, and fetch nothing", () => {
    const r = run({ roundsOn: "same" }, ["a"], [thrice]);
    r.built(r.claim("x"));
    r.built(r.claim("x"), [], ["out"]);
    expect(r.starts()).toHaveLength(2);
    expect(r.of("receiveOutputs")).toHaveLength(0);
    const path = twice.outputPaths[0]!.path;
    expect(r.result("x")).toMatchObject({
      failure: {
        status: "NotDeterministic",
        exitClass: "notDeterministic",
        message: `output '${path}' of '${twice.goal}' differs from previous round`,
      },
    });
    expect(r.outcome?.exitStatus).toBe(104);
    // Nothing came into the destination store.
    expect(r.of("takeBackOutputs")).toHaveLength(0);
  });

  it("take back what a local Nix has registered", () => {
    const r = run({ roundsOn: "same" }, ["local"]);
    const first = r.claim("x");
    r.built(first);
    r.built(r.claim("x"), [], ["out"]);
    expect(r.of("takeBackOutputs")).toEqual([{ type: "takeBackOutputs", goal: twice.goal, claim: first }]);
  });

  it("that differ only warn when not enforced: every round runs, the first one's output is kept", () => {
    const r = run({ roundsOn: "same", enforceDeterminism: false }, ["a"], [thrice]);
    const first = r.claim("x");
    r.built(first);
    r.fails(r.claim("x"), failure("output differs", { status: "NotDeterministic" }));
    r.built(r.claim("x"));
    expect(verdicts(r)).toEqual(["1/3 first", "2/3 differs", "3/3 same"]);
    // Whoever keeps the other result warns, with the place it is kept at.
    expect(r.of("explainDifference")).toMatchObject([{ goal: thrice.goal, first }]);
    r.received(first);
    expect(r.result("x")).toMatchObject({ type: "built", nonDeterministic: true, machine: "a" });
    expect(r.outcome?.exitStatus).toBe(0);
  });

  it("that are compared while they are built are built as the plan says, with what is valid there", () => {
    const r = run({ roundsOn: "same" }, ["a"]);
    r.built(r.claim("x"));
    const second = r.claim("x");
    const side = { protocol: "worker 1.38", nixVersion: "2.34.8", canOpenScratch: false } as const;
    r.say({ type: "claimComparable", claim: second, side: { ...side, outputs: [{ name: "out", validity: "valid" }] } });
    expect(r.of("buildCompared")).toMatchObject([{ claim: second, strategy: { type: "check", whenDiffers: "done" } }]);
    r.say({ type: "claimCancelled", claim: second });
    r.say({ type: "claimComparable", claim: second, side: { ...side, outputs: [{ name: "out", validity: "valid" }] } });
    expect(r.of("buildCompared")).toHaveLength(1);
  });

  it("go elsewhere where nothing can be compared", () => {
    const r = run({ roundsOn: "any", keepGoing: true }, ["a", "b"]);
    r.built(r.claim("x"));
    const second = r.starts()[1]!;
    r.fails(second.claim, failure("cannot be compared there: no check mode", { origin: "comparison", status: null }));
    expect(r.starts()[2]?.machine).not.toBe(second.machine);
  });

  it("begin anew elsewhere when the machine is gone for good", () => {
    const r = run({ roundsOn: "same", keepGoing: true }, ["a", "b"]);
    r.built(r.claim("x"));
    const second = r.starts()[1]!;
    const other = second.machine === "a" ? "b" : "a";
    r.lost(second.machine, "host key changed", true);
    r.fails(second.claim, CONNECTION_LOST);
    r.lostForGood(second.machine, "host key changed");
    expect(r.starts()[2]).toMatchObject({ machine: other, round: 1, compare: { type: "none" } });
    r.built(r.claim("x"));
    r.built(r.claim("x"));
    r.received(r.starts()[2]!.claim);
    expect(r.result("x")?.type).toBe("built");
  });
});

describe("rounds on other machines", () => {
  it("run side by side and are compared by their hashes", () => {
    const r = run({ roundsOn: "other" }, ["a", "b"]);
    const [one, two] = r.starts();
    expect(new Set([one!.machine, two!.machine]).size).toBe(2);
    expect(two!.compare).toEqual({ type: "none" });
    r.built(two!.claim, [output("aa")]);
    expect(verdicts(r)).toEqual([]);
    r.built(one!.claim, [output("aa")]);
    expect(verdicts(r)).toEqual(["1/2 first", "2/2 same"]);
    expect(r.of("receiveOutputs")).toEqual([{ type: "receiveOutputs", claim: one!.claim }]);
  });

  it("show what depends on the machine, output by output", () => {
    const r = run({ roundsOn: "other" }, ["a", "b"]);
    const [one, two] = r.starts();
    r.built(one!.claim, [output("aa"), output("cc", "dev")]);
    r.built(two!.claim, [output("bb"), output("cc", "dev")]);
    expect(verdicts(r)).toEqual(["1/2 first", "2/2 differs"]);
    expect(r.result("x")).toMatchObject({ failure: { exitClass: "notDeterministic" } });
    expect(JSON.stringify(r.result("x"))).not.toContain("dev");
  });

  it("cancel the others at the first difference when enforced", () => {
    const r = run({ roundsOn: "other" }, ["a", "b", "c"], [thrice]);
    const [one, two, three] = r.starts();
    r.built(one!.claim, [output("aa")]);
    r.built(two!.claim, [output("bb")]);
    expect(r.of("cancelClaim").map((command) => command.claim)).toEqual([three!.claim]);
    expect(r.result("x")).toBeNull();
    r.cancelled(three!.claim);
    expect(r.result("x")?.type).toBe("failed");
  });

  it("use a machine again, but not the first one's, when there are too few", () => {
    const r = run({ roundsOn: "other" }, ["a", "b"], [thrice]);
    const [one, two] = r.starts();
    expect(r.starts()).toHaveLength(2);
    r.built(two!.claim, [output("aa")]);
    const three = r.starts()[2]!;
    expect(three).toMatchObject({ machine: two!.machine, compare: { type: "round", first: two!.claim } });
    r.built(three.claim);
    r.built(one!.claim, [output("aa")]);
    expect(verdicts(r)).toEqual(["1/3 first", "2/3 same", "3/3 same"]);
  });

  it("cannot be had with one machine, which is said at once", () => {
    const r = run({ roundsOn: "other" }, ["a"]);
    expect(r.starts()).toHaveLength(0);
    expect(r.result("x")).toMatchObject({
      failure: { message: expect.stringContaining("a ran the first round, and the next must run on another machine") },
    });
  });
});

describe("rounds on any machine", () => {
  it("run side by side where machines are idle, else one after the other where they can", () => {
    const both = run({ roundsOn: "any" }, ["a", "b"]);
    expect(new Set(both.starts().map((start) => start.machine)).size).toBe(2);
    const alone = run({ roundsOn: "any" }, ["a"]);
    expect(alone.starts()).toHaveLength(1);
    alone.built(alone.claim("x"));
    expect(alone.starts()[1]).toMatchObject({
      machine: "a",
      compare: { type: "round", first: alone.starts()[0]!.claim },
    });
  });

  it("that are lost to machinery are tried again and never count as a difference", () => {
    const r = run({ roundsOn: "any" }, ["a", "b"]);
    const [one, two] = r.starts();
    r.lost(two!.machine);
    r.fails(two!.claim, CONNECTION_LOST);
    expect(r.result("x")).toBeNull();
    r.built(one!.claim, [output("aa")]);
    const again = r.starts()[2]!;
    expect(again).toMatchObject({
      machine: one!.machine,
      round: 2,
      attempt: 2,
      compare: { type: "round", first: one!.claim },
    });
    r.built(again.claim, [output("aa")]);
    r.received(one!.claim);
    expect(r.result("x")).toMatchObject({ type: "built", nonDeterministic: false });
  });

  it("put another round in the place of a first one that was lost", () => {
    const r = run({ roundsOn: "any" }, ["a", "b"]);
    const [one, two] = r.starts();
    r.built(two!.claim, [output("aa")]);
    r.lost(one!.machine);
    r.fails(one!.claim, CONNECTION_LOST);
    const again = r.starts()[2]!;
    // Built again where the other lies already, it must be compared there and not be taken for a new result.
    expect(again).toMatchObject({ machine: two!.machine, round: 1, compare: { type: "round", first: two!.claim } });
    r.built(again.claim, [output("aa")]);
    expect(r.of("receiveOutputs")).toEqual([{ type: "receiveOutputs", claim: two!.claim }]);
  });

  it("begin anew when the outputs are lost before they were fetched", () => {
    const r = run({ roundsOn: "any" }, ["a", "b"]);
    const [one, two] = r.starts();
    r.built(one!.claim, [output("aa")]);
    r.built(two!.claim, [output("aa")]);
    r.lost(one!.machine);
    r.fails(one!.claim, failure("gone", { origin: "transfer", status: null }));
    r.tick(100_000);
    expect(r.starts().length).toBeGreaterThan(2);
    expect(r.starts()[2]).toMatchObject({ round: 1, attempt: 2 });
  });
});

describe("stopping between rounds", () => {
  it("leaves nothing half-registered", () => {
    const r = run({ roundsOn: "same" }, ["local"]);
    r.built(r.claim("x"));
    const second = r.claim("x");
    r.ask({ type: "cancelGoal", goal: twice.goal });
    r.cancelled(second);
    expect(r.result("x")?.type).toBe("cancelled");
    expect(r.of("takeBackOutputs")).toHaveLength(1);
  });

  it("by draining lets the running round end and starts no other", () => {
    const r = run({ roundsOn: "same" }, ["a"]);
    r.ask({ type: "stop", how: "drain", reason: "asked" });
    r.built(r.claim("x"));
    expect(r.starts()).toHaveLength(1);
    expect(r.result("x")?.type).toBe("cancelled");
    expect(r.outcome).toMatchObject({ interrupted: true, exitStatus: 130 });
  });
});

describe("a check of what is not valid yet", () => {
  const checkNext = { isTarget: true, checkNext: true } as const;

  it("begins when it has been built, and its verdict is the goal's", () => {
    const r = run({ roundsOn: "same" }, ["a"], [goal("x", [], checkNext)]);
    const first = r.claim("x");
    r.built(first);
    r.received(first);
    expect(r.result("x")).toBeNull();
    const second = r.starts()[1]!;
    expect(second).toMatchObject({ round: 1, rounds: 1, compare: { type: "check" } });
    r.fails(second.claim, failure("output differs", { status: "NotDeterministic" }));
    expect(r.result("x")).toMatchObject({ type: "failed", failure: { exitClass: "notDeterministic" } });
    // What a check found does not undo the build before it.
    expect(r.of("takeBackOutputs")).toHaveLength(0);
    expect(r.outcome?.exitStatus).toBe(104);
  });

  it("begins when it has been substituted, once what it is built from is there", () => {
    const input = goal("input");
    const x = goal("x", ["input"], { ...checkNext, validity: "substitutable" });
    const r = run({}, ["a"], [input, x]);
    expect(r.starts()).toHaveLength(0);
    r.say({ type: "substitutionEnded", goal: x.goal, failure: null });
    expect(r.starts().map((start) => start.goal)).toEqual([input.goal]);
    r.done("input");
    const check = r.starts()[1]!;
    expect(check).toMatchObject({ goal: x.goal, compare: { type: "check" } });
    r.built(check.claim);
    expect(r.result("x")).toMatchObject({ type: "built" });
    expect(r.outcome?.exitStatus).toBe(0);
  });
});
