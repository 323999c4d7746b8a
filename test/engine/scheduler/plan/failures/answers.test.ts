// What may be the derivation's fault or the machine's: the same words twice say that it is the derivation's.
import { describe, expect, it } from "vitest";
import { failure, goal, machine, Scenario } from "../scenario.ts";

const target = (name: string) => goal(name, [], { isTarget: true });
const odd = (words: string) => failure(words, { status: "MiscFailure" });
const crash = (words: string) => failure(words, { origin: "crash", status: null });
const coolings = (run: Scenario) =>
  run.happened("machineStateChanged").filter((event) => event.state.type === "coolingDown");

describe("an answer that may be the derivation's", () => {
  it("is asked for elsewhere at once, and final there when the words are the same", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(target("x"));
    const first = run.starts()[0]!;
    run.fails(first.claim, odd(`something odd in /tmp/nix-build-x-17/f on ssh-ng://${first.machine}`));
    const second = run.starts()[1]!;
    expect(second.machine).not.toBe(first.machine);
    run.fails(second.claim, odd(`something odd in /tmp/nix-build-x-18/f on ssh-ng://${second.machine}`));
    expect(run.result("x")).toMatchObject({
      type: "failed",
      failure: {
        kind: "final",
        exitClass: "other",
        attempts: [expect.stringContaining(`${first.machine}: something`)],
      },
    });
    expect(run.outcome?.exitStatus).toBe(1);
  });

  it("is final the second time on the only machine, and after another answer in between", () => {
    const run = new Scenario().machines(machine("a")).goals(target("x"));
    for (const words of ["one thing", "another thing", "one thing"]) {
      expect(run.result("x")).toBeNull();
      run.fails(run.claim("x"), odd(words));
      run.tick(run.now + 60_000);
    }
    expect(run.result("x")).toMatchObject({ type: "failed", failure: { kind: "final" } });
    expect(run.starts()).toHaveLength(3);
  });

  it("costs no machine its standing once it is confirmed", () => {
    const run = new Scenario({ keepGoing: true }).machines(machine("a", { slots: 4 }), machine("b", { slots: 4 }));
    run.goals(...["p", "q", "r", "s"].map(target));
    for (const name of ["p", "q", "r", "s"]) {
      for (let tries = 0; run.result(name) === null && tries < 4; tries++) {
        run.fails(run.claim(name), odd(`cannot make '${name}'`));
        run.tick(run.now + 60_000);
      }
      expect(run.result(name)).toMatchObject({ failure: { kind: "final" } });
    }
    expect(coolings(run)).toEqual([]);
  });

  it("is a program that ended twice over the same derivation, too", () => {
    const run = new Scenario().machines(machine("a"), machine("b")).goals(target("x"));
    run.fails(run.claim("x"), crash("the remote program was killed by SIGABRT"));
    expect(run.result("x")).toBeNull();
    run.fails(run.claim("x"), crash("the remote program was killed by SIGABRT"));
    expect(run.result("x")).toMatchObject({ failure: { kind: "final", exitClass: "other" } });
  });

  it("is not what a machine says of itself, however often", () => {
    const run = new Scenario({ maxAttempts: 4, suspectAfter: 10 }).machines(machine("a")).goals(target("x"));
    for (let attempt = 1; attempt <= 4; attempt++) {
      expect(run.result("x")).toBeNull();
      run.fails(run.claim("x"), odd("creating directory '/nix/store/x': Read-only file system"));
      run.tick(run.now + 60_000);
    }
    expect(run.result("x")).toMatchObject({ failure: { kind: "machinery" } });
  });

  it("is asked for anew when the user tries again", () => {
    const run = new Scenario({ holdWhenFailed: true }).machines(machine("a")).goals(target("x"));
    for (let tries = 0; tries < 2; tries++) {
      run.fails(run.claim("x"), odd("something odd"));
      run.tick(run.now + 60_000);
    }
    expect(run.result("x")).toMatchObject({ failure: { kind: "final" } });
    run.ask({ type: "retryFailed" });
    run.fails(run.claim("x"), odd("something odd"));
    run.tick(run.now + 60_000);
    expect(run.starts()).toHaveLength(4);
  });
});
