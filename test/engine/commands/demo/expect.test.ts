// The judge of the demo: what is as designed, and that every way of not being so is told.
import { describe, expect, it } from "vitest";
import { DemoJudge } from "../../../../src/engine/commands/demo/expect.ts";
import type { EngineEvent, GoalDescription } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../../../src/engine/events/ids.ts";

const names = [
  "spell-check",
  "errata",
  "imprint",
  "cover-engraving",
  ...Array.from({ length: 21 }, (_, n) => `page-${n}`),
];
const id = (name: string): GoalId => `/nix/store/${name}.drv` as GoalId;
const described = (name: string): GoalDescription => ({
  ...{ goal: id(name), name, kind: "derivation", system: "x86_64-linux", requiredFeatures: [], outputs: ["out"] },
  ...{ inputs: [], isTarget: false, expectedMs: null },
});
const assigned = (name: string, machine: string, attempt: number): EngineEvent => ({
  ...{
    type: "buildAssigned",
    claim: `${name}${attempt}` as ClaimId,
    goal: id(name),
    machine: machine as MachineId,
    slot: 0,
  },
  ...{ attempt, round: 1, rounds: 2, isCheck: false, expectedMs: null, explanation: "" },
});
const built = (name: string): EngineEvent => ({
  type: "goalFinished",
  goal: id(name),
  result: {
    ...{ type: "built", outputs: [], machine: "a" as MachineId, durationMs: 1, rounds: 2 },
    nonDeterministic: name === "imprint",
  },
});
const failed: EngineEvent = {
  type: "goalFinished",
  goal: id("spell-check"),
  result: {
    type: "failed",
    failure: {
      ...{ kind: "final", status: "PermanentFailure", exitClass: "build", message: "exit code 1", logTail: [] },
      ...{ machine: "a" as MachineId, logFile: null, keptDirectory: null, attempts: [] },
    },
  },
};
const notBuilt: EngineEvent = {
  type: "goalFinished",
  goal: id("errata"),
  result: { type: "notBuilt", because: id("spell-check"), reason: "an input failed" },
};
const designed: readonly EngineEvent[] = [
  { type: "goalsAdded", goals: names.map(described) },
  ...["a", "b"].map((machine, index) => assigned("cover-engraving", machine, index + 1)),
  failed,
  notBuilt,
  ...names.slice(2).map(built),
];
const judged = (events: readonly EngineEvent[], machines = ["a", "b"]) => {
  const judge = new DemoJudge();
  for (const event of events) judge.accept(event);
  return judge.report(machines);
};

describe("DemoJudge", () => {
  it("is content with what was designed", () => {
    const { asDesigned, lines } = judged(designed);
    expect(asDesigned).toBe(true);
    expect(lines[0]).toBe("as designed: 23 built on 2 builders and here, each in two rounds;");
  });

  it.each([
    ["a build is missing", designed.slice(0, -1), "built: page-20 missing"],
    ["nothing failed", designed.filter((event) => event !== failed), "failed: expected spell-check, found none"],
    [
      "what needs it was not skipped",
      designed.filter((event) => event !== notBuilt),
      "not built: expected errata, found none",
    ],
    [
      "nothing was tried again",
      designed.filter((event) => event.type !== "buildAssigned" || event.attempt === 1),
      "tried again: expected cover-engraving, found none",
    ],
    ["nothing came", [], "derivations: expected 25, found 0"],
  ])("tells that %s", (_, events, line) => {
    const { asDesigned, lines } = judged(events);
    expect(asDesigned).toBe(false);
    expect(lines).toContain(`  ${line}`);
  });

  it("tells of builders that had nothing to do", () => {
    expect(judged(designed, ["a", "b", "idle"]).lines).toContain("  builders without a build: idle");
  });
});
