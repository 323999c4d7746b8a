import { describe, expect, it } from "vitest";
import { createBoard, type Machine } from "../../../../src/ui/model/board/board.ts";
import { coreUse, measuredCores, promisedCores } from "../../../../src/ui/model/board/core-use.ts";
import { eventScript, machineId, reduceAll } from "../../../support/event-script.ts";

/** A machine of 24 cores with every slot busy, sampled ten times at this many cores in use. */
function machineAt(slots: number, buildCores: number, busyCores: number, busySlots = slots): Machine {
  const script = eventScript().machine("m", { slots, buildCores, cores: 24 });
  script.goals(Object.fromEntries(Array.from({ length: busySlots }, (_, slot) => [`job-${slot}`, {}])));
  for (let slot = 0; slot < busySlots; slot++) script.build(`job-${slot}`, "m", { slot });
  const cores = Array.from({ length: 24 }, (_, index) => Math.min(1, Math.max(0, busyCores - index)));
  for (let sample = 0; sample < 10; sample++) script.usage("m", cores);
  const machine = reduceAll(createBoard(), script.events).machines.get(machineId("m"));
  if (machine === undefined) throw new Error("no machine");
  return machine;
}

describe("the cores of all machines", () => {
  const cores = (script: ReturnType<typeof eventScript>) =>
    measuredCores(reduceAll(createBoard(), script.events).machines.values());

  it("count a host once, however often the list names it, by its latest sample", () => {
    const script = eventScript();
    for (const name of ["one", "two", "three"]) script.machine(name, { cores: null });
    script.usage("one", [1, 0.5], 1, "boot-a").usage("two", [0.25, 0.25], 1, "boot-a").usage("three", [1], 1, "boot-b");
    expect(cores(script)).toEqual({ busy: expect.closeTo(1.5), cores: 3 });
  });

  it("count every machine that does not say what host it is, and none that is not measured", () => {
    const script = eventScript().machine("one").machine("two").machine("three").usage("one", [1]).usage("two", [0.5]);
    expect(cores(script)).toEqual({ busy: expect.closeTo(1.5), cores: 2 });
  });
});

describe("the manual's table of 24 cores", () => {
  it("1 × 24: undersold if the one job cannot use 24 cores", () => {
    expect(coreUse(machineAt(1, 24, 3)).verdict).toBe("undersold");
    expect(coreUse(machineAt(1, 24, 23.5)).verdict).toBeNull();
  });

  it("4 × 6: four jobs with six cores each are neither when they use them", () => {
    expect(coreUse(machineAt(4, 6, 22))).toMatchObject({ promised: 24, cores: 24, verdict: null });
    expect(coreUse(machineAt(4, 6, 6)).verdict).toBe("undersold");
  });

  it("12 × 6: oversold, 72 cores of 24", () => {
    expect(coreUse(machineAt(12, 6, 24))).toMatchObject({ promised: 72, verdict: "oversold" });
  });

  it("24 × 1: never oversold", () => {
    expect(coreUse(machineAt(24, 1, 24))).toMatchObject({ promised: 24, verdict: null });
  });

  it("24 × 0: every job may use all cores, very likely oversold", () => {
    expect(coreUse(machineAt(24, 0, 24))).toMatchObject({ promised: 576, verdict: "oversold" });
  });
});

describe("core use", () => {
  it("calls no machine undersold that has free slots", () => {
    expect(coreUse(machineAt(4, 6, 1, 2)).verdict).toBeNull();
  });

  it("says nothing it does not know", () => {
    expect(promisedCores(4, null, 24)).toBeNull();
    expect(promisedCores(4, 0, null)).toBeNull();
    const script = eventScript().machine("m", { slots: 4 });
    const machine = reduceAll(createBoard(), script.events).machines.get(machineId("m"));
    if (machine === undefined) throw new Error("no machine");
    expect(coreUse(machine)).toEqual({ cores: null, promised: null, busy: null, verdict: null });
  });
});
