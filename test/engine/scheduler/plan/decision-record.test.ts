import { describe, expect, it } from "vitest";
import type { MachineId } from "../../../../src/engine/events/ids.ts";
import { decide } from "../../../../src/engine/scheduler/plan/decide.ts";
import { recordDecisions, replayDecisions } from "../../../../src/engine/scheduler/plan/decision-record.ts";
import type { Fact } from "../../../../src/engine/scheduler/plan/fact.ts";
import { DEFAULT_PLAN_OPTIONS } from "../../../../src/engine/scheduler/plan/options.ts";
import { createPlan } from "../../../../src/engine/scheduler/plan/state/plan.ts";
import { CONNECTION_LOST, drv, goal, machine, output } from "./scenario.ts";

const rest = { machineSigns: () => false, carriesSignature: () => false };

/** A short run with failures, waits drawn at random, known durations and something resumed. */
function record(): string[] {
  const lines: string[] = [];
  const resumed = new Map([[drv("y"), { machine: "b" as MachineId, isBuilt: true, failures: ["b: lost"] }]]);
  const options = { ...DEFAULT_PLAN_OPTIONS, seed: 42, resumed, durations: () => 7000 };
  const recorder = recordDecisions(options, (line) => lines.push(line));
  const plan = createPlan(recorder.options);
  let mono = 0;
  const say = (fact: Fact) => {
    mono += 250.125;
    const now = { mono, wall: 1e12 + mono };
    const decision = decide(plan, fact, now);
    recorder.record(fact, now, decision);
    return decision;
  };
  for (const name of ["a", "b"]) {
    say({ type: "machineAdded", spec: machine(name) });
    const at = { machine: name as MachineId, nixVersion: "2.34.8", protocol: "worker 1.38", trusted: true };
    say({ type: "machineConnected", ...at });
  }
  say({ type: "goalsAdded", goals: [goal("x", [], { isTarget: true }), goal("y", [], { isTarget: true })] });
  const { commands } = say({ type: "goalsComplete" });
  const started = [...plan.claims.keys()];
  expect(commands.length + started.length).toBeGreaterThan(0);
  say({ type: "claimFailed", claim: started[0]!, durationMs: 10, failure: CONNECTION_LOST });
  say({ type: "machineLost", machine: "a" as MachineId, reason: "gone", permanent: false });
  const outputs = [output("ab".repeat(32), "out", 2n ** 60n)];
  say({ type: "claimBuilt", claim: started[1]!, durationMs: 10, executed: true, outputs, differs: [], messages: [] });
  say({ type: "tick" });
  return lines;
}

describe("a record of decisions", () => {
  it("replays to the letter", () => {
    expect(replayDecisions(record(), rest)).toEqual({ decisions: 10, different: null });
  });

  it("tells where another seed, another duration or another fact decides otherwise", () => {
    const lines = record();
    const other = (from: string, to: string) => {
      expect(lines.join("\n")).toContain(from);
      return replayDecisions(
        lines.map((line) => line.replace(from, to)),
        rest,
      ).different;
    };
    expect(other('"seed":42', '"seed":43')).toMatchObject({ fact: { type: "machineLost" } });
    expect(other('"ms":7000', '"ms":9000')).not.toBeNull();
    expect(other('"isBuilt":true,"failures":["b: lost"]', '"isBuilt":true,"failures":[]')).not.toBeNull();
  });

  it("that is none says so", () => {
    expect(() => replayDecisions(["garbage"], rest)).toThrow(expect.objectContaining({ code: "DECISIONS_MALFORMED" }));
    expect(() => replayDecisions(['{"version":99}'], rest)).toThrow(
      expect.objectContaining({ code: "DECISIONS_MALFORMED" }),
    );
  });
});
