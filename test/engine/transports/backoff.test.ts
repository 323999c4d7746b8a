import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffDelay, DEFAULT_BACKOFF } from "../../../src/engine/transports/backoff.ts";

describe("the wait after failures", () => {
  it("doubles up to its bound", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((failures) => backoffDelay(failures, 1));
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 120_000, 120_000, 120_000]);
    expect(backoffDelay(1, 0)).toBe(500);
    expect(backoffDelay(3, 0.5, { firstMs: 100, longestMs: 1000 })).toBe(300);
  });

  it("is never nothing, never above the bound, and never less for more failures", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const wait = backoffDelay(failures, random);
        expect(wait).toBeGreaterThanOrEqual(DEFAULT_BACKOFF.firstMs / 2);
        expect(wait).toBeLessThanOrEqual(DEFAULT_BACKOFF.longestMs);
        expect(backoffDelay(failures + 1, random)).toBeGreaterThanOrEqual(wait);
      }),
    );
  });
});
