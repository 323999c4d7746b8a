import { describe, expect, it } from "vitest";
import type { GoalResult } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../../../src/engine/events/ids.ts";
import { Leftover } from "../../../../src/engine/memory/records/leftover.ts";
import type { JournalRecord, LeftBuild } from "../../../../src/engine/memory/records/record.ts";

const goal = (name: string) => `/nix/store/${name}.drv` as GoalId;

type Sent = Partial<Extract<JournalRecord, { type: "buildSent" }>>;

function sent(claim: string, name: string, machine: string, more: Sent = {}): JournalRecord {
  return {
    ...{ type: "buildSent", at: 1, claim: claim as ClaimId, goal: goal(name), machine: machine as MachineId },
    ...{ round: 1, rounds: 1, attempt: 1, isCheck: false },
    ...more,
  };
}

function ended(claim: string, result: "built" | "machineryFailed" | "over", message = ""): JournalRecord {
  return { type: "buildEnded", at: 2, claim: claim as ClaimId, result, message };
}

function finished(name: string, result: GoalResult["type"]): JournalRecord {
  return { type: "goalFinished", at: 3, goal: goal(name), result };
}

function left(name: string, machine: string | null, more: Partial<LeftBuild> = {}): LeftBuild {
  return {
    ...{ goal: goal(name), machine: machine as MachineId | null },
    ...{ isBuilt: false, isUnverified: false, failures: [] },
    ...more,
  };
}

/** Folds records. */
function leftoverOf(records: Iterable<JournalRecord>) {
  const leftover = new Leftover();
  for (const record of records) leftover.take(record);
  return leftover.builds();
}

describe("what a run left", () => {
  it("is what was sent and never finished, built or not", () => {
    const records = [sent("c1", "a", "itchy"), sent("c2", "b", "scratchy"), sent("c3", "c", "itchy")];
    const more = [ended("c1", "built"), ended("c2", "built"), finished("b", "built")];
    expect(leftoverOf([...records, ...more])).toEqual([left("a", "itchy", { isBuilt: true }), left("c", "itchy")]);
  });

  it("holds the attempts used, and forgets them when the goal failed for good", () => {
    const records = [
      sent("c1", "a", "itchy"),
      ended("c1", "machineryFailed", "disk full"),
      sent("c2", "a", "scratchy", { attempt: 2 }),
      ended("c2", "machineryFailed", "link down"),
    ];
    const failures = ["itchy: disk full", "scratchy: link down"];
    expect(leftoverOf(records)).toEqual([left("a", null, { failures })]);
    expect(leftoverOf([...records, sent("c3", "a", "poochie", { attempt: 3 })])).toEqual([
      left("a", "poochie", { failures }),
    ]);
    expect(leftoverOf([...records, finished("a", "failed")])).toEqual([]);
  });

  it("counts outputs that never arrived as an attempt", () => {
    const records = [sent("c1", "a", "itchy"), ended("c1", "built"), sent("c2", "a", "scratchy", { attempt: 2 })];
    expect(leftoverOf(records)).toEqual([left("a", "scratchy", { failures: ["itchy: its outputs did not arrive"] })]);
  });

  it("of a run that was stopped is what lay built on a machine", () => {
    const records = [sent("c1", "a", "itchy"), sent("c2", "b", "itchy"), ended("c1", "built"), ended("c2", "over")];
    expect(leftoverOf([...records, finished("a", "cancelled"), finished("b", "cancelled")])).toEqual([
      left("a", "itchy", { isBuilt: true }),
    ]);
  });

  it("is nowhere after a failure of its own", () => {
    expect(leftoverOf([sent("c1", "a", "itchy"), ended("c1", "over"), finished("a", "failed")])).toEqual([]);
  });

  it("of several rounds is where one was built, and unverified when one ran here", () => {
    const two = { rounds: 2 };
    const away = [
      sent("c1", "a", "itchy", two),
      ended("c1", "built"),
      sent("c2", "a", "scratchy", { ...two, round: 2 }),
    ];
    expect(leftoverOf(away)).toEqual([left("a", "itchy", { isBuilt: true })]);
    expect(leftoverOf([sent("c1", "a", "local", two)])).toEqual([left("a", "local", { isUnverified: true })]);
    expect(leftoverOf([sent("c1", "a", "local", { ...two, isCheck: true })])).toEqual([left("a", "local")]);
    expect(leftoverOf([sent("c1", "a", "local")])).toEqual([left("a", "local")]);
  });

  it("goes on from what was carried over", () => {
    const build = left("a", "itchy", { isBuilt: true, failures: ["m: x"] });
    const carried: JournalRecord = { type: "carried", at: 0, build };
    expect(leftoverOf([carried])).toEqual([build]);
    expect(leftoverOf([carried, sent("c1", "a", "scratchy", { attempt: 2 })])).toEqual([
      left("a", "scratchy", { failures: ["m: x"] }),
    ]);
    expect(leftoverOf([carried, finished("a", "built")])).toEqual([]);
  });
});
