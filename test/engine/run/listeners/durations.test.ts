import { describe, expect, it } from "vitest";
import type { ClaimId, MachineId } from "../../../../src/engine/events/ids.ts";
import type { EndedBuild, History } from "../../../../src/engine/memory/history-store.ts";
import { Durations } from "../../../../src/engine/run/listeners/durations.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { drv, goal, machine } from "../../scheduler/plan/scenario.ts";

function rig() {
  const clock = createFakeClock(1_000_000);
  /** What was done with the history, in order. */
  const calls: string[] = [];
  const written: (readonly EndedBuild[])[] = [];
  const history: History = {
    load: (names) => calls.push(`load ${[...names].join(" ")}`),
    expected: (name, where, speedFactor) => (name === "a" && where === "fast" ? 100 * speedFactor : null),
    record: (builds) => {
      calls.push(`record ${builds.length}`);
      if (builds.length > 0) written.push(builds);
    },
    close: () => calls.push("close"),
  };
  const machines = [machine("fast", { speedFactor: 2 }), machine("slow")];
  const durations = new Durations(history, clock, [goal("a"), goal("b")], machines);
  const start = (claim: string, name: string, where = "fast"): void =>
    durations.hearCommand({
      ...{ type: "startBuild", claim: claim as ClaimId, goal: drv(name), machine: where as MachineId, slot: 0 },
      ...{ attempt: 1, round: 1, rounds: 1, isResumed: false, compare: { type: "none" } },
    });
  const built = (claim: string, durationMs: number, executed = true): void =>
    durations.hearFact({
      ...{ type: "claimBuilt", claim: claim as ClaimId, durationMs, executed, outputs: [], differs: [], messages: [] },
    });
  return { clock, calls, written, durations, start, built };
}

describe("durations of builds", () => {
  it("are read for all goals at once, and told for a machine of its speed", () => {
    const { calls, durations } = rig();
    expect(calls).toEqual(["load a b"]);
    expect(durations.expected(goal("a"), machine("fast", { speedFactor: 2 }))).toBe(200);
    expect(durations.expected(goal("a"), machine("slow"))).toBe(null);
  });

  it("are written down together, five seconds after the first", () => {
    const { clock, written, start, built } = rig();
    start("c1", "a");
    start("c2", "b", "slow");
    start("c3", "b", "elsewhere");
    built("c1", 10);
    clock.advance(4_000);
    built("c2", 20);
    built("c3", 30);
    clock.advance(999);
    expect(written).toEqual([]);
    clock.advance(1);
    expect(written).toEqual([
      [
        { name: "a", machine: "fast", durationMs: 10, speedFactor: 2, endedAt: 1_000_000 },
        { name: "b", machine: "slow", durationMs: 20, speedFactor: 1, endedAt: 1_004_000 },
        { name: "b", machine: "elsewhere", durationMs: 30, speedFactor: 1, endedAt: 1_004_000 },
      ],
    ]);
    start("c4", "a");
    built("c4", 40);
    clock.advance(5_000);
    expect(written.slice(1)).toMatchObject([[{ name: "a", durationMs: 40 }]]);
  });

  it("are written down before the history is closed, and nothing is afterwards", () => {
    const { clock, calls, written, durations, start, built } = rig();
    start("c1", "a");
    built("c1", 10);
    durations.close();
    clock.advance(10_000);
    expect(calls).toEqual(["load a b", "record 1", "close"]);
    expect(written).toMatchObject([[{ durationMs: 10 }]]);
  });

  it("are only those of builds that were executed, of goals of this run", () => {
    const { clock, written, start, built } = rig();
    start("c1", "a");
    start("c2", "unknown");
    built("c1", 10, false);
    built("c2", 10);
    built("never started", 10);
    clock.advance(5_000);
    expect(written).toEqual([]);
  });
});
