import { describe, expect, it } from "vitest";
import { type MachineSide, strategyFor } from "../../../../../src/engine/scheduler/plan/rounds/check-strategy.ts";

const side = (
  validity: readonly ("valid" | "missing" | "unknown")[],
  more: Partial<MachineSide> = {},
): MachineSide => ({
  outputs: validity.map((state, index) => ({ name: ["out", "doc", "dev"][index]!, validity: state })),
  protocol: "worker 1.38",
  nixVersion: "2.34.8",
  canOpenScratch: true,
  ...more,
});

describe("strategyFor", () => {
  it("builds plainly where no output is valid", () => {
    expect(strategyFor(side(["missing", "missing"]))).toMatchObject({ type: "plain", compared: ["out", "doc"] });
    expect(strategyFor(side(["unknown"]))).toMatchObject({ type: "plain", reason: expect.stringContaining("depend") });
    expect(strategyFor(side(["missing"], { protocol: "serve 2.7", canOpenScratch: false })).type).toBe("plain");
  });

  it("checks a single output where it is valid", () => {
    expect(strategyFor(side(["valid"]))).toMatchObject({ type: "check", whenDiffers: "done" });
  });

  it("builds several outputs whole only after a difference", () => {
    expect(strategyFor(side(["valid", "valid"]))).toMatchObject({ type: "check", whenDiffers: "wholeInScratch" });
    const closed = strategyFor(side(["valid", "valid"], { canOpenScratch: false }));
    expect(closed).toMatchObject({ type: "check", whenDiffers: "firstOnly", reason: expect.stringContaining("first") });
  });

  it("needs no more where the machine compares every output", () => {
    const embedded = { protocol: "embedded", nixVersion: null };
    expect(strategyFor(side(["valid", "valid"], embedded))).toMatchObject({ type: "check", whenDiffers: "done" });
  });

  it("knows that the serve protocol has no check mode", () => {
    const serve = { protocol: "serve 2.7", nixVersion: null };
    expect(strategyFor(side(["valid"], serve)).type).toBe("scratch");
    expect(strategyFor(side(["valid"], { ...serve, canOpenScratch: false }))).toMatchObject({
      type: "impossible",
      reason: "its outputs are valid there, and the serve protocol knows no check mode",
    });
  });

  it("compares only what a build can make when some outputs are valid", () => {
    expect(strategyFor(side(["valid", "missing"])).type).toBe("scratch");
    const closed = strategyFor(side(["valid", "missing"], { canOpenScratch: false }));
    expect(closed).toMatchObject({ type: "plain", compared: ["doc"], reason: expect.stringContaining("only doc") });
  });
});
