import { describe, expect, it } from "vitest";
import type { UsageEvent } from "../../../../src/engine/events/event.ts";
import { LOCAL_MACHINE, type MachineId } from "../../../../src/engine/events/ids.ts";
import { Samplers, type SamplersOptions } from "../../../../src/engine/run/listeners/samplers.ts";
import type { Fact } from "../../../../src/engine/scheduler/plan/fact.ts";
import type { Transport } from "../../../../src/engine/transports/transport.ts";
import { memoryPair } from "../../../support/memory-transport.ts";
import { manualClock } from "../../transports/manual-clock.ts";

const b1 = "b1" as MachineId;
const SAMPLE = `@processor\ncpu0 0 0 0 0 0\n@load\n1.50 1 1 1/1 1\n@memory\nMemTotal: 10 kB\nMemAvailable: 4 kB\n@end\n`;

const connected = (machine: MachineId): Fact => ({
  ...{ type: "machineConnected", machine, nixVersion: null, protocol: "", trusted: null },
});
const lost = (machine: MachineId): Fact => ({ type: "machineLost", machine, reason: "", permanent: false });

function rig(changes: Partial<SamplersOptions> = {}) {
  const clock = manualClock();
  const events: UsageEvent[] = [];
  const facts: Fact[] = [];
  /** The samplers' ends of what was opened, in order, and where. */
  const opened: { readonly machine: MachineId; readonly there: Transport }[] = [];
  const samplers = new Samplers({
    ...{ clock, intervalMs: 2_000 },
    opener: (machine) => ({
      open: async () => {
        const [here, there] = memoryPair();
        opened.push({ machine, there });
        return here;
      },
      ...{ name: machine, heard: () => null, close: () => undefined },
    }),
    publish: (event) => events.push(event),
    post: (fact) => facts.push(fact),
    ...changes,
  });
  return { clock, events, facts, opened, samplers };
}

describe("a builder's sampler", () => {
  it("is started once it has been up for a second", async () => {
    const { clock, opened, samplers } = rig();
    samplers.hear(connected(b1));
    // Told again, it is not started again.
    samplers.hear(connected(b1));
    await clock.advance(999);
    expect(opened).toEqual([]);
    await clock.advance(1);
    expect(opened.map(({ machine }) => machine)).toEqual([b1]);
  });

  it("is never started when the machine is lost or the run over before that", async () => {
    const { clock, opened, samplers } = rig();
    samplers.hear(connected(b1));
    samplers.hear(connected("b2" as MachineId));
    await clock.advance(999);
    samplers.hear(lost(b1));
    samplers.close();
    await clock.advance(10_000);
    expect(opened).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("ends with its machine, and is started again when that comes back", async () => {
    const { clock, opened, samplers } = rig();
    for (let times = 1; times <= 2; times++) {
      samplers.hear(connected(b1));
      await clock.advance(1_000);
      expect(opened).toHaveLength(times);
      samplers.hear(lost(b1));
      expect((await opened.at(-1)!.there.closed).type).toBe("closedThere");
    }
  });

  it("ends with the run", async () => {
    const { clock, opened, samplers } = rig();
    for (const name of ["b1", "b2"]) samplers.hear(connected(name as MachineId));
    await clock.advance(1_000);
    samplers.close();
    const reasons = await Promise.all(opened.map(({ there }) => there.closed));
    expect(reasons.map(({ type }) => type)).toEqual(["closedThere", "closedThere"]);
    expect(clock.pending).toBe(0);
  });

  it("tells whoever watches what it found, and the plan how busy the machine is", async () => {
    const { clock, opened, events, facts, samplers } = rig();
    samplers.hear(connected(b1));
    await clock.advance(1_000);
    const { there } = opened[0]!;
    await there.write(Buffer.from(`tsbuild-top-sampler linux\n${SAMPLE}`));
    await clock.advance(500);
    await there.write(Buffer.from(SAMPLE.replace("cpu0 0 0 0 0 0", "cpu0 50 0 0 50 0")));
    await clock.advance(0);
    expect(events).toMatchObject([{ type: "usageSampled", machine: b1, load1: 1.5, cores: [0.5] }]);
    expect(facts).toEqual([{ type: "machineLoad", machine: b1, load1: 1.5, cores: 1 }]);
    there.close();
    await clock.advance(0);
    expect(events.slice(1)).toMatchObject([{ type: "usageUnavailable", machine: b1 }]);
    // That there are no figures is nothing to plan with.
    expect(facts).toHaveLength(1);
  });

  it("is not started where there is no way to", async () => {
    const { clock, events, samplers } = rig({ opener: () => null });
    samplers.hear(connected(b1));
    await clock.advance(10_000);
    samplers.hear(lost(b1));
    expect([events, clock.pending]).toEqual([[], 0]);
  });
});

describe("samplers", () => {
  it("need nothing opened for this machine", async () => {
    const { clock, opened, samplers } = rig();
    samplers.hear(connected(LOCAL_MACHINE));
    await clock.advance(10_000);
    samplers.close();
    expect(opened).toEqual([]);
  });

  it("are never started where the interval is 0", async () => {
    const { clock, opened, samplers } = rig({ intervalMs: 0 });
    samplers.hear(connected(b1));
    await clock.advance(10_000);
    expect(opened).toEqual([]);
  });
});
