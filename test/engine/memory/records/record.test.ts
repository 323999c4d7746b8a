import { describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../../../src/engine/events/ids.ts";
import {
  isSameGoals,
  JOURNAL_VERSION,
  type JournalRecord,
  parseRecord,
  printRecord,
  type RunGoals,
  recordOfEvent,
} from "../../../../src/engine/memory/records/record.ts";

const claim = "c1" as ClaimId;
const goal = "/nix/store/a.drv" as GoalId;
const machine = "itchy" as MachineId;
const goals: RunGoals = { store: "auto", targets: ["/nix/store/a.drv^*", 'odd\n"name"'], isCheck: false };
const records: readonly JournalRecord[] = [
  { type: "runStarted", at: 0, runId: "r1", goals, builds: 7 },
  { type: "carried", at: 0, build: { goal, machine: null, isBuilt: false, isUnverified: true, failures: ["m: x"] } },
  { type: "buildSent", at: 1, claim, goal, machine, round: 1, rounds: 2, attempt: 1, isCheck: false },
  { type: "buildEnded", at: 2, claim, result: "machineryFailed", message: "disk full" },
  { type: "goalFinished", at: 3, goal, result: "built" },
  { type: "runFinished", at: 6, exitStatus: 0 },
];

describe("journal lines", () => {
  it.each(records.map((record) => [record.type, record] as const))("%s survives", (_type, record) => {
    const line = printRecord(record);
    expect(line.endsWith("\n")).toBe(true);
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(parseRecord(line.slice(0, -1))).toEqual({ type: "record", record });
  });

  it("cut off anywhere are torn, never another record", () => {
    for (const record of records) {
      const line = printRecord(record).slice(0, -1);
      for (let length = 0; length < line.length; length++)
        expect(parseRecord(line.slice(0, length))).toEqual({ type: "torn" });
    }
  });

  it.each([
    "",
    "null",
    "[]",
    "1",
    '"x"',
    "{}",
    '{"v":1}',
    '{"v":1,"type":"toString","at":1}',
    '{"v":1,"type":"runFinished","at":"1","exitStatus":0}',
  ])("%s is none", (line) => expect(parseRecord(line)).toEqual({ type: "torn" }));

  it.each([
    ['{"v":1,"type":"buildEnded","at":1}', "claim"],
    [
      '{"v":1,"type":"runStarted","at":1,"runId":"r","builds":1,"goals":{"store":"auto","targets":[1],"isCheck":true}}',
      "goals",
    ],
    [
      '{"v":1,"type":"buildSent","at":1,"claim":"c","goal":"g","machine":"m","round":1,"rounds":1,"attempt":99999999999,"isCheck":false}',
      "attempt",
    ],
  ])("%s is damaged, and where is named", (line, field) =>
    expect(parseRecord(line)).toEqual({ type: "damaged", field }),
  );

  it("of a newer program are told from torn ones", () => {
    expect(parseRecord(`{"v":${JOURNAL_VERSION + 1},"type":"whatever"}`)).toEqual({
      type: "newer",
      version: JOURNAL_VERSION + 1,
    });
  });
});

describe("what is kept", () => {
  it("of events: what was sent, how it ended, which goals are finished", () => {
    const end = (result: Extract<EngineEvent, { type: "buildEnded" }>["result"]): EngineEvent => ({
      type: "buildEnded",
      claim,
      durationMs: 5,
      result,
    });
    const events: EngineEvent[] = [
      {
        ...{ type: "buildAssigned", claim, goal, machine, slot: 0, attempt: 2, round: 1, rounds: 3, isCheck: false },
        ...{ expectedMs: null, explanation: "" },
      },
      { type: "buildStageChanged", claim, stage: "building" },
      end({ type: "built" }),
      end({ type: "alreadyValid" }),
      end({ type: "failed", kind: "final", message: "exit 1" }),
      end({ type: "failed", kind: "machinery", message: "disk full" }),
      end({ type: "cancelled" }),
      { type: "goalFinished", goal, result: { type: "cancelled", reason: "x" } },
      { type: "dispatchPaused" },
    ];
    const kept = events.flatMap((event) => recordOfEvent(event, 9) ?? []);
    expect(kept.map((record) => (record.type === "buildEnded" ? record.result : record.type))).toEqual([
      ...["buildSent", "built", "built", "over", "machineryFailed", "over", "goalFinished"],
    ]);
    expect(kept[0]).toMatchObject({ at: 9, attempt: 2, rounds: 3 });
    expect(kept[4]).toMatchObject({ message: "disk full" });
    for (const record of kept) expect(parseRecord(printRecord(record).trimEnd())).toEqual({ type: "record", record });
  });
});

describe("the goals of two runs", () => {
  it.each([
    ["are the same", {}, true],
    ["differ by store", { store: "/other" }, false],
    ["differ by targets", { targets: ["/nix/store/a.drv^*"] }, false],
    ["differ by a target", { targets: ["/nix/store/a.drv^*", "odd"] }, false],
    ["differ by being checked", { isCheck: true }, false],
  ])("%s", (_name, more, same) => expect(isSameGoals(goals, { ...goals, ...more })).toBe(same));
});
