import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sanitizeLine } from "../../../src/ui/format/sanitize.ts";
import { displayWidth, fitWidth, sliceCells, takeWidth, truncate } from "../../../src/ui/format/width.ts";

const clean = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => sanitizeLine(text));

describe("cells", () => {
  it("are counted as the terminal counts them", () => {
    expect([displayWidth("abc"), displayWidth("日本"), displayWidth("✔ ━"), displayWidth("e\u0301")]).toEqual([
      3, 4, 3, 1,
    ]);
  });

  it("are cut without splitting a wide character", () => {
    expect(truncate("日本語", 4)).toBe("日…");
    expect(sliceCells("abcdef", 2, 3)).toBe("cde");
  });

  it("fit exactly, whatever the text and the width", () => {
    fc.assert(
      fc.property(clean, fc.integer({ min: 0, max: 50 }), (text, width) => {
        expect(displayWidth(fitWidth(text, width))).toBe(width);
        expect(displayWidth(fitWidth(text, width, "right"))).toBe(width);
        expect(displayWidth(takeWidth(text, width))).toBeLessThanOrEqual(width);
        expect(displayWidth(truncate(text, width))).toBeLessThanOrEqual(width);
      }),
    );
  });
});
