import { describe, expect, it } from "vitest";
import { usageBetween } from "../../../../src/engine/usage/samples/rates.ts";
import type { CoreCounters, UsageSample } from "../../../../src/engine/usage/samples/sample.ts";

const memory = { usedBytes: 1n, totalBytes: 2n };
const sample = (...cores: CoreCounters[]): UsageSample => ({
  host: null,
  processor: { type: "counters", cores },
  load1: 1.5,
  memory,
});
const core = (number: number, busy: number, total: number): CoreCounters => ({ core: number, busy, total });

describe("use between two samples", () => {
  it("is the share of each core's time that was busy", () => {
    const reading = usageBetween(
      sample(core(0, 100, 1000), core(1, 0, 1000)),
      sample(core(0, 150, 1100), core(1, 100, 1100)),
    );
    expect(reading).toEqual({ host: null, cores: [0.5, 1], load1: 1.5, memory });
  });

  it("is not known from one sample, nor when no time has passed", () => {
    const one = sample(core(0, 1, 10));
    expect(usageBetween(null, one)).toBeNull();
    expect(usageBetween(one, one)).toBeNull();
  });

  it("survives cores that come, go and start over", () => {
    const reading = usageBetween(
      sample(core(0, 100, 1000), core(1, 50, 1000)),
      sample(core(1, 60, 1010), core(2, 5, 10)),
    );
    expect(reading?.cores).toEqual([1, 0]);
    expect(
      usageBetween(sample(core(0, 100, 1000), core(1, 1, 10)), sample(core(0, 5, 2000), core(1, 2, 12)))?.cores,
    ).toEqual([0, 0.5]);
  });

  it("that the system worked out itself is taken as it is", () => {
    const shares: UsageSample = { host: null, processor: { type: "shares", cores: [0.2, 0.2] }, load1: 0, memory };
    expect(usageBetween(null, shares)?.cores).toEqual([0.2, 0.2]);
    expect(usageBetween(shares, sample(core(0, 1, 2)))).toBeNull();
  });
});
