import { describe, expect, it } from "vitest";
import type { EngineEvent } from "../../../../src/engine/events/event.ts";
import type { CopyId, MachineId } from "../../../../src/engine/events/ids.ts";
import { SentRates } from "../../../../src/engine/run/listeners/sent-rates.ts";
import type { Fact } from "../../../../src/engine/scheduler/plan/fact.ts";

function rig() {
  const facts: Fact[] = [];
  const rates = new SentRates((fact) => facts.push(fact));
  const hear = (...events: EngineEvent[]): void => {
    for (const event of events) rates.hear(event);
  };
  return { facts, hear };
}

const started = (copy: string, machine: string, direction: "upload" | "download" = "upload"): EngineEvent => ({
  ...{ type: "copyStarted", copy: copy as CopyId, direction, machine: machine as MachineId },
  ...{ claim: null, paths: 1, expectedBytes: "100" },
});
const finished = (copy: string, doneBytes: string, failure: string | null = null): EngineEvent => ({
  ...{ type: "copyFinished", copy: copy as CopyId, doneBytes, durationMs: 250, failure },
});

describe("what was sent to a machine", () => {
  it("is told the plan when it has arrived, each transfer for its own machine", () => {
    const { facts, hear } = rig();
    hear(started("t1", "b1"), started("t2", "b2"));
    expect(facts).toEqual([]);
    hear(finished("t2", "20"), finished("t1", "10"));
    expect(facts).toEqual([
      { type: "machineSent", machine: "b2", bytes: 20, durationMs: 250 },
      { type: "machineSent", machine: "b1", bytes: 10, durationMs: 250 },
    ]);
  });

  it("says nothing when it failed, was fetched from there, or is told of again", () => {
    const { facts, hear } = rig();
    hear(started("t1", "b1"), finished("t1", "10", "disk full"), finished("t1", "10"));
    hear(started("t2", "b1", "download"), finished("t2", "10"));
    hear(finished("never begun", "10"));
    expect(facts).toEqual([]);
  });
});
