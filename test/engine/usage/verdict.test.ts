import { describe, expect, it } from "vitest";
import { coreBalance, coreVerdict } from "../../../src/engine/usage/verdict.ts";

/** Nix manual, Tuning Cores and Jobs: "Balancing 24 Build Cores". */
const MANUAL = [
  { slots: 1, cores: 24, buildCores: 24, maximumProcesses: 24, sold: "exact", verdict: "balanced" },
  { slots: 4, cores: 6, buildCores: 6, maximumProcesses: 24, sold: "exact", verdict: "balanced" },
  { slots: 12, cores: 6, buildCores: 6, maximumProcesses: 72, sold: "oversold", verdict: "oversold" },
  { slots: 24, cores: 1, buildCores: 1, maximumProcesses: 24, sold: "exact", verdict: "balanced" },
  { slots: 24, cores: 0, buildCores: 24, maximumProcesses: 576, sold: "oversold", verdict: "oversold" },
] as const;

describe("the manual's machine with 24 cores", () => {
  it.each(MANUAL)(
    "$slots × $cores: $maximumProcesses processes, $verdict",
    ({ slots, cores, buildCores, maximumProcesses, sold, verdict }) => {
      const balance = coreBalance({ slots, cores, machineCores: 24 });
      expect(balance).toEqual({ type: "known", buildCores, maximumProcesses, machineCores: 24, sold });
      expect(coreVerdict(balance, null, 24)).toBe(verdict);
    },
  );

  it("1 × 24 is undersold if the job cannot use 24 cores, which only measuring shows", () => {
    const balance = coreBalance({ slots: 1, cores: 24, machineCores: 24 });
    expect(coreVerdict(balance, { coresInUse: 3.1, busySlots: 1, isSaturated: true }, 24)).toBe("undersold");
    expect(coreVerdict(balance, { coresInUse: 23, busySlots: 1, isSaturated: true }, 24)).toBe("balanced");
    expect(coreVerdict(balance, { coresInUse: 0.1, busySlots: 0, isSaturated: false }, 24)).toBe("balanced");
  });

  it("24 × 1 is never oversold, but may be undersold near the end of a run", () => {
    const balance = coreBalance({ slots: 24, cores: 1, machineCores: 24 });
    expect(coreVerdict(balance, { coresInUse: 24, busySlots: 24, isSaturated: true }, 24)).toBe("balanced");
    expect(coreVerdict(balance, { coresInUse: 10, busySlots: 24, isSaturated: true }, 24)).toBe("undersold");
  });

  it("stays oversold whatever is measured", () => {
    const balance = coreBalance({ slots: 12, cores: 6, machineCores: 24 });
    expect(coreVerdict(balance, { coresInUse: 2, busySlots: 12, isSaturated: true }, 24)).toBe("oversold");
  });
});

describe("a machine of which not all is known", () => {
  it("has no balance, but measuring can still show cores that nobody uses", () => {
    expect(coreBalance({ slots: 4, cores: null, machineCores: 8 })).toEqual({ type: "unknown" });
    expect(coreBalance({ slots: 4, cores: 0, machineCores: null })).toEqual({ type: "unknown" });
    expect(coreVerdict({ type: "unknown" }, null, 8)).toBe("unknown");
    expect(coreVerdict({ type: "unknown" }, { coresInUse: 1, busySlots: 4, isSaturated: true }, 8)).toBe("undersold");
    expect(coreVerdict({ type: "unknown" }, { coresInUse: 1, busySlots: 4, isSaturated: true }, null)).toBe("unknown");
  });

  it("has cores to spare when its slots cannot use them all", () => {
    expect(coreBalance({ slots: 2, cores: 4, machineCores: 24 })).toMatchObject({ maximumProcesses: 8, sold: "spare" });
    expect(coreBalance({ slots: 0, cores: 0, machineCores: 24 })).toMatchObject({ maximumProcesses: 0, sold: "spare" });
  });
});
