import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chunksOf, layoutParts, type Part, part } from "../../../../src/ui/components/rows/parts.ts";
import { displayWidth } from "../../../../src/ui/format/width.ts";
import { createTheme } from "../../../../src/ui/theme.ts";

const theme = createTheme({ color: true, ascii: false, spoken: false });
const textOf = (parts: readonly Part[], width: number): string =>
  layoutParts(parts, width, theme)
    .map((segment) => segment.text)
    .join("");

describe("a row", () => {
  it("never gets wider than the terminal, whatever it is made of", () => {
    const anyPart = fc.record(
      {
        text: fc.constantFrom("", "name", "日本語", "━━━", "a longer piece of text"),
        tone: fc.constantFrom("plain" as const, "dim" as const, "bad" as const),
        width: fc.nat(20),
        min: fc.nat(10),
        grows: fc.boolean(),
        drop: fc.integer({ min: 1, max: 9 }),
        gap: fc.nat(4),
      },
      { requiredKeys: ["text", "tone"] },
    );
    fc.assert(
      fc.property(fc.array(anyPart, { maxLength: 8 }), fc.nat(60), (parts, width) => {
        const segments = layoutParts(parts, width, theme);
        const text = segments.map((segment) => segment.text).join("");
        expect(displayWidth(text)).toBeLessThanOrEqual(width);
        expect(text).toBe(text.trimEnd());
        expect(
          chunksOf(segments)
            .flat()
            .map((segment) => segment.text)
            .join(""),
        ).toBe(text);
      }),
    );
  });

  it("drops the least important first, and those of one number together", () => {
    const parts = [
      part("name"),
      part("load", "dim", { drop: 2 }),
      part("6.1", "plain", { drop: 2 }),
      part("up", "plain", { drop: 1 }),
    ];
    expect([20, 14, 8, 4].map((width) => textOf(parts, width))).toEqual([
      "name load 6.1 up",
      "name up",
      "name up",
      "name",
    ]);
  });

  it("cuts what may be cut before anything is lost at the end", () => {
    expect(textOf([part("a long name", "plain", { min: 4 }), part("01:10")], 12)).toBe("a lon… 01:10");
  });

  it("gives what is left to what grows", () => {
    expect(textOf([part("left"), part("", "plain", { grows: true, gap: 0 }), part("right")], 16)).toBe(
      "left       right",
    );
  });
});
