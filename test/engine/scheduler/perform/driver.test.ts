import { afterEach, describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { drv, goal } from "../plan/scenario.ts";
import { buildOn, createRig, type DriverRig, outputOf, type RigOptions, until } from "./rig.ts";

const rigs: DriverRig[] = [];
function rigOf(options: RigOptions = {}): DriverRig {
  const rig = createRig(options);
  rigs.push(rig);
  return rig;
}
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.driver.close();
});

const ofType = <Type extends EngineEvent["type"]>(rig: DriverRig, type: Type) =>
  rig.events.filter((event): event is Extract<EngineEvent, { type: Type }> => event.type === type);

describe("the driver", () => {
  it("has a goal built on a machine, and its outputs come into the destination", async () => {
    const rig = rigOf();
    rig.begin();
    const build = await buildOn(rig, "a");
    build.report.started();
    build.report.logged(["hello"]);
    build.done("contents");
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 1 });
    expect(rig.destination.paths.get(outputOf("x"))?.contents).toBe("contents");
    // The log of what was built elsewhere is kept where `nix log` looks.
    expect(rig.destination.logs.get(drv("x") as string as StorePath)).toBe("hello\n");
    expect(ofType(rig, "buildLogged")).toMatchObject([{ lines: ["hello"] }]);
  });

  it("tells of a fact before it is decided on, and of a command before it is performed", async () => {
    const rig = rigOf();
    rig.begin();
    const at = (what: string): number => rig.heard.indexOf(what);
    expect(at("fact goalsAdded")).toBeLessThan(at("decision goalsAdded"));
    expect(at("decision machineAdded")).toBeGreaterThan(at("fact machineAdded"));
    expect(at("command connectMachine")).toBeGreaterThan(at("decision goalsAdded"));
    await buildOn(rig, "a");
    expect(rig.stores.get("a")!.calls.at(-1)).toMatch(/^build normal/);
    expect(at("command startBuild")).toBeGreaterThan(at("decision machineConnected"));
  });

  it("cancels one build and leaves the others alone", async () => {
    const rig = rigOf({
      goals: [goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true })],
      machines: ["a", "b"],
      plan: { keepGoing: true },
    });
    rig.begin();
    const [one, other] = [await buildOn(rig, "a"), await buildOn(rig, "b")];
    const goalOnA = one.request.drvPath as string;
    rig.driver.post({ type: "cancelGoal", request: "r1" as never, goal: goalOnA as never });
    expect([one.signal.aborted, other.signal.aborted]).toEqual([true, false]);
    other.done();
    expect(await rig.driver.finished).toMatchObject({ built: 1, cancelled: 1 });
  });

  it("finds out whether a machine is gone before the loss of its build is judged", async () => {
    const rig = rigOf({ machines: ["a", "b"], plan: { policy: "nix" } });
    rig.begin();
    const first = await buildOn(rig, "a");
    rig.stores.get("a")!.isThere = false;
    first.breaks(new Error("connection reset"));
    (await buildOn(rig, "b")).done();
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 1 });
    const [lost, failed] = [
      rig.facts.findIndex(({ type }) => type === "machineLost"),
      rig.facts.findIndex(({ type }) => type === "claimFailed"),
    ];
    expect(lost).toBeGreaterThan(-1);
    expect(lost).toBeLessThan(failed);
  });

  it("does not wait for a machine that cannot be reached while another one can", async () => {
    const rig = rigOf({ machines: ["a", "b"], unreachable: new Map([["a", new Error("no route to host")]]) });
    rig.begin();
    (await buildOn(rig, "b")).done();
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 1 });
    expect(rig.stores.get("a")!.builds).toEqual([]);
  });

  it("performs rounds as the plan chooses: in check mode where the first result is valid", async () => {
    const rig = rigOf({ goals: [goal("x", [], { isTarget: true, rounds: 2 })], plan: { roundsOn: "same" } });
    rig.begin();
    (await buildOn(rig, "a")).done("one");
    const second = await buildOn(rig, "a", 1);
    expect(second.request.mode).toBe("check");
    expect(rig.commands.filter(({ type }) => type === "buildCompared")).toMatchObject([
      { strategy: { type: "check", whenDiffers: "done" } },
    ]);
    second.fails(
      "NotDeterministic",
      `derivation '${drv("x")}' may not be deterministic: output '${outputOf("x")}' differs`,
    );
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 104, failed: 1 });
    expect(rig.commands.filter(({ type }) => type === "explainDifference")).toHaveLength(1);
    expect(ofType(rig, "outputDiffered")).toMatchObject([{ output: "out", round: 2 }]);
  });

  it("explains rounds that were built side by side, whose results were not compared while they were built", async () => {
    const rig = rigOf({
      goals: [goal("x", [], { isTarget: true, rounds: 2 })],
      machines: ["a", "b"],
      plan: { roundsOn: "other", enforceDeterminism: false },
    });
    rig.begin();
    const [one, other] = [await buildOn(rig, "a"), await buildOn(rig, "b")];
    one.done("one");
    other.done("other");
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 1 });
    expect(ofType(rig, "outputDiffered")).toMatchObject([{ output: "out" }]);
    expect(ofType(rig, "noticeRaised").map(({ code }) => code)).toContain("ROUNDS_DIFFER");
  });

  it("runs a blocking hook on what was built, and its failure ends the run", async () => {
    const asked: string[][] = [];
    const rig = rigOf({
      plan: { hook: { type: "blocking", exceptLocal: false } },
      hooks: {
        run: async (_hook, drvPath, outPaths, report) => {
          asked.push([drvPath, ...outPaths]);
          report.started(1);
          report.logged(["no network"]);
          return { failure: "exit 3", durationMs: 5 };
        },
      },
    });
    rig.begin();
    (await buildOn(rig, "a")).done();
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 1, built: 1 });
    expect(asked).toEqual([[drv("x"), outputOf("x")]]);
    expect(ofType(rig, "hookLogged")).toMatchObject([{ lines: ["no network"] }]);
    expect(ofType(rig, "hookFinished")).toMatchObject([{ result: { type: "failed", reason: "exit 3" } }]);
  });

  it("lets other runs have a goal once its outputs are here, and none of its goals when it is closed", async () => {
    const taken: string[] = [];
    let isClosed = false;
    const rig = rigOf({
      reservations: {
        take: async (name) => {
          taken.push(`take ${name.slice(33)}`);
          return { hasWaited: false, mayBeBuilt: false, release: () => taken.push(`release ${name.slice(33)}`) };
        },
        close: () => {
          isClosed = true;
        },
      },
    });
    rig.begin();
    const build = await buildOn(rig, "a");
    expect(taken).toEqual(["take x.drv"]);
    build.done();
    await rig.driver.finished;
    expect(taken).toEqual(["take x.drv", "release x.drv"]);
    expect(isClosed).toBe(false);
    await rig.driver.close();
    expect(isClosed).toBe(true);
  });

  it("takes what another run has built meanwhile", async () => {
    const rig = rigOf({
      reservations: {
        take: async (_name, { begun }) => {
          begun();
          rig.destination.put(outputOf("x"), "theirs");
          return { hasWaited: true, mayBeBuilt: true, release: () => undefined };
        },
        close: () => undefined,
      },
    });
    rig.begin();
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 0, alreadyValid: 1 });
    expect(rig.stores.get("a")!.builds).toEqual([]);
    expect(ofType(rig, "buildPhaseChanged")).toMatchObject([{ phase: "another run builds it" }]);
  });

  it("ends what runs when it is closed, and closes every connection", async () => {
    const rig = rigOf();
    rig.begin();
    const build = await buildOn(rig, "a");
    await rig.driver.close();
    expect(build.signal.aborted).toBe(true);
    expect(rig.stores.get("a")!.isClosed).toBe(true);
  });

  it("asks for a tick at the time the plan names, and for no earlier one any more", async () => {
    const rig = rigOf({ plan: { maxAttempts: 5 } });
    rig.begin();
    (await buildOn(rig, "a")).fails("MiscFailure", "error: database is locked");
    await until("a wait", () => ofType(rig, "goalWaiting").some(({ reason }) => reason.type === "backOff"));
    expect(rig.facts.some(({ type }) => type === "tick")).toBe(false);
    rig.clock.advance(60_000);
    expect(rig.facts.some(({ type }) => type === "tick")).toBe(true);
    (await buildOn(rig, "a", 1)).done();
    expect(await rig.driver.finished).toMatchObject({ exitStatus: 0, built: 1 });
  });
});
