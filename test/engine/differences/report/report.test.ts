import { describe, expect, it } from "vitest";
import { type DeterminismReport, ReportBuilder } from "../../../../src/engine/differences/report/report.ts";
import { reportJson, reportTable } from "../../../../src/engine/differences/report/report-text.ts";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../../../src/engine/events/ids.ts";

const goal = (name: string): GoalId => `/nix/store/dd0vb645cr10kl8ichw54296m4a0q3cb-${name}.drv` as GoalId;
const claim = (id: string): ClaimId => id as ClaimId;
const machine = (id: string): MachineId => id as MachineId;

function reportOf(events: readonly EngineEvent[]): DeterminismReport {
  const builder = new ReportBuilder();
  for (const [seq, event] of events.entries()) builder.push({ seq, at: 1000 + seq, event });
  return builder.report();
}

const started: EngineEvent = {
  type: "runStarted",
  eventsVersion: 1,
  runId: "r1",
  program: "tsbuild-top",
  store: "auto",
  policy: "own",
  keepGoing: true,
  rounds: 2,
};
const added = (name: string): EngineEvent => ({
  type: "goalsAdded",
  goals: [
    {
      goal: goal(name),
      name,
      kind: "derivation",
      system: "x86_64-linux",
      requiredFeatures: [],
      outputs: ["out"],
      inputs: [],
      isTarget: true,
      expectedMs: null,
    },
  ],
});
const assigned = (name: string, id: string, on: string, round: number, isCheck = false): EngineEvent => ({
  type: "buildAssigned",
  claim: claim(id),
  goal: goal(name),
  machine: machine(on),
  slot: 0,
  attempt: 1,
  round,
  rounds: 2,
  isCheck,
  expectedMs: null,
  explanation: "",
});
const ended = (id: string, lost = false): EngineEvent => ({
  type: "buildEnded",
  claim: claim(id),
  durationMs: 5,
  result: lost ? { type: "failed", kind: "machinery", message: "connection lost" } : { type: "built" },
});
const round = (
  name: string,
  id: string,
  on: string,
  number: number,
  verdict: "first" | "same" | "differs",
): EngineEvent => ({
  type: "roundFinished",
  goal: goal(name),
  claim: claim(id),
  round: number,
  rounds: 2,
  machine: machine(on),
  verdict,
});
const differed = (name: string, output: string): EngineEvent => ({
  type: "outputDiffered",
  goal: goal(name),
  output,
  firstPath: "/nix/store/r61dq2xsjdh0wayhi1xbfsysv7x8nncf-x",
  otherPath: null,
  round: 2,
  firstMachine: machine("b1"),
  otherMachine: machine("b2"),
  summary: ["f: differs"],
});

const events = [
  started,
  ...["stable", "unstable", "single", "checked", "lost"].map(added),
  ...[assigned("stable", "c1", "b1", 1), ended("c1"), round("stable", "c1", "b1", 1, "first")],
  ...[assigned("stable", "c2", "b2", 2), ended("c2"), round("stable", "c2", "b2", 2, "same")],
  ...[assigned("unstable", "c3", "b1", 1), ended("c3"), round("unstable", "c3", "b1", 1, "first")],
  ...[assigned("unstable", "c4", "b2", 2), ended("c4", true), assigned("unstable", "c5", "b1", 2), ended("c5")],
  ...[round("unstable", "c5", "b1", 2, "differs"), differed("unstable", "out"), differed("unstable", "doc")],
  ...[assigned("single", "c6", "b1", 1), ended("c6")],
  ...[assigned("checked", "c7", "local", 1, true), ended("c7"), round("checked", "c7", "local", 1, "same")],
  ...[assigned("lost", "c8", "b2", 1), ended("c8", true)],
  {
    type: "goalFinished",
    goal: goal("lost"),
    result: { type: "cancelled", reason: "stopped" },
  } satisfies EngineEvent,
];

describe("the report", () => {
  it("tells derivations, rounds and machines with verdicts", () => {
    const report = reportOf(events);
    expect(report.derivations.map(({ name, verdict }) => [name, verdict])).toEqual([
      ["stable", "reproducible"],
      ["unstable", "differs"],
      ["single", "unverified"],
      ["checked", "reproducible"],
      ["lost", "cancelled"],
    ]);
    expect(report.totals).toEqual({ reproducible: 2, differs: 1, unverified: 1, failed: 0, cancelled: 1 });
    expect(report.derivations[1]?.differences).toMatchObject([{ output: "out" }, { output: "doc" }]);
  });

  it("never counts a lost round as a difference", () => {
    const unstable = reportOf(events).derivations[1];
    expect(unstable?.rounds).toEqual([
      { round: 1, machine: "b1", verdict: "first", durationMs: 5 },
      { round: 2, machine: "b1", verdict: "differs", durationMs: 5 },
    ]);
    const onlyLost = reportOf([
      started,
      added("x"),
      assigned("x", "c1", "b1", 1),
      ended("c1"),
      assigned("x", "c2", "b2", 2),
      ended("c2", true),
    ]);
    expect(onlyLost.derivations[0]).toMatchObject({ verdict: "unverified", differences: [] });
  });

  it("is a table at the end", () => {
    expect(reportTable(reportOf(events))).toEqual([
      "derivation  round 1      round 2      verdict",
      "stable      b1: first    b2: same     reproducible",
      "unstable    b1: first    b1: DIFFERS  NOT DETERMINISTIC (out, doc)",
      "checked     local: same               reproducible",
      "2 reproducible, 1 not deterministic, 1 not compared, 1 cancelled",
    ]);
    expect(reportTable(reportOf([started, added("x"), assigned("x", "c", "b1", 1)]))).toEqual([]);
  });

  it("is JSON for a file", () => {
    expect(JSON.parse(reportJson(reportOf(events)))).toMatchObject({
      version: 1,
      runId: "r1",
      startedAt: 1000,
      derivations: { length: 5 },
    });
  });

  it("begins anew with a goal that is tried again", () => {
    const again: EngineEvent = { type: "goalReopened", goal: goal("unstable") };
    const report = reportOf([...events, again, assigned("unstable", "c9", "b1", 1), ended("c9")]);
    expect(report.derivations.find(({ name }) => name === "unstable")).toMatchObject({ verdict: "unverified" });
  });
});
