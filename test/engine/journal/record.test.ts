import { describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId } from "../../../src/engine/events/ids.ts";
import {
  JOURNAL_VERSION,
  type JournalRecord,
  mustBeDurable,
  parseRecord,
  printRecord,
  recordOfEvent,
  unfinishedBuilds,
  unfinishedHooks,
} from "../../../src/engine/journal/record.ts";

const id = {
  claim: (name: string) => name as ClaimId,
  goal: (name: string) => `/nix/store/${name}.drv` as GoalId,
  machine: (name: string) => name as MachineId,
  hook: (name: string) => name as HookId,
};
const sent = (claim: string, goal: string, machine: string): JournalRecord => ({
  type: "buildSent",
  at: 1,
  claim: id.claim(claim),
  goal: id.goal(goal),
  machine: id.machine(machine),
  round: 1,
  attempt: 1,
});
const ended = (claim: string): JournalRecord => ({
  type: "buildEnded",
  at: 2,
  claim: id.claim(claim),
  result: "built",
  durationMs: 10.5,
});
const records: readonly JournalRecord[] = [
  {
    type: "runStarted",
    at: 0,
    runId: "r1",
    owner: { pid: 1, bootId: "b", startTime: "7" },
    targets: ["/nix/store/a.drv", 'odd\n"name"'],
  },
  sent("c1", "a", "itchy"),
  ended("c1"),
  { type: "goalFinished", at: 3, goal: id.goal("a"), result: "built" },
  { type: "hookQueued", at: 4, hook: id.hook("h1"), goal: id.goal("a"), paths: ["/nix/store/a"] },
  { type: "hookEnded", at: 5, hook: id.hook("h1"), done: false },
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
    '{"v":1,"type":"buildEnded","at":1}',
    '{"v":1,"type":"runFinished","at":"1","exitStatus":0}',
  ])("%s is none", (line) => expect(parseRecord(line)).toEqual({ type: "torn" }));

  it("of a newer program are told from torn ones", () => {
    expect(parseRecord(`{"v":${JOURNAL_VERSION + 1},"type":"whatever"}`)).toEqual({
      type: "newer",
      version: JOURNAL_VERSION + 1,
    });
  });
});

describe("what is kept", () => {
  it("of events: what was sent, how it ended, hooks", () => {
    const events: EngineEvent[] = [
      {
        type: "buildAssigned",
        claim: id.claim("c1"),
        goal: id.goal("a"),
        machine: id.machine("m"),
        slot: 0,
        attempt: 1,
        round: 1,
        rounds: 1,
        isCheck: false,
        expectedMs: null,
        explanation: "",
      },
      { type: "buildStageChanged", claim: id.claim("c1"), stage: "building" },
      {
        type: "buildEnded",
        claim: id.claim("c1"),
        durationMs: 5,
        result: { type: "failed", kind: "final", message: "x" },
      },
      { type: "goalFinished", goal: id.goal("a"), result: { type: "cancelled", reason: "x" } },
      { type: "hookQueued", hook: id.hook("h1"), kind: "postBuild", goal: id.goal("a"), paths: ["/nix/store/a"] },
      { type: "hookFinished", hook: id.hook("h1"), result: { type: "willRetry", reason: "x", at: 1 } },
      { type: "hookFinished", hook: id.hook("h1"), result: { type: "left", reason: "x" } },
      { type: "dispatchPaused" },
    ];
    const kept = events.flatMap((event) => recordOfEvent(event, 9) ?? []);
    expect(kept.map((record) => record.type)).toEqual([
      "buildSent",
      "buildEnded",
      "goalFinished",
      "hookQueued",
      "hookEnded",
    ]);
    expect(kept.at(-1)).toMatchObject({ done: false, at: 9 });
    for (const record of kept) expect(parseRecord(printRecord(record).trimEnd())).toEqual({ type: "record", record });
  });

  it("durably: builds before they are sent, hooks before they run", () => {
    expect(records.filter(mustBeDurable).map((record) => record.type)).toEqual([
      "runStarted",
      "buildSent",
      "hookQueued",
    ]);
  });
});

describe("what an interrupted run left", () => {
  it("is where builds may have been finished since", () => {
    const left = unfinishedBuilds([
      sent("c1", "a", "itchy"),
      sent("c2", "b", "scratchy"),
      ended("c1"),
      sent("c3", "a", "poochie"),
    ]);
    expect([...left]).toEqual([
      [id.goal("b"), "scratchy"],
      [id.goal("a"), "poochie"],
    ]);
  });

  it("is the hooks that have not run", () => {
    const queued = (hook: string, goal: string): JournalRecord => ({
      type: "hookQueued",
      at: 1,
      hook: id.hook(hook),
      goal: id.goal(goal),
      paths: [goal],
    });
    const done = (hook: string, ok: boolean): JournalRecord => ({
      type: "hookEnded",
      at: 2,
      hook: id.hook(hook),
      done: ok,
    });
    const left = unfinishedHooks([
      queued("h1", "a"),
      queued("h2", "b"),
      queued("h3", "c"),
      done("h1", true),
      done("h2", false),
    ]);
    expect(left).toEqual([
      { goal: id.goal("b"), paths: ["b"] },
      { goal: id.goal("c"), paths: ["c"] },
    ]);
  });
});
