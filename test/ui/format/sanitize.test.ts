import fc from "fast-check";
import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import {
  PLAIN_STYLE,
  sanitizeColored,
  sanitizeLine,
  sanitizeStyled,
  sanitizeText,
} from "../../../src/ui/format/sanitize.ts";
import { displayWidth } from "../../../src/ui/format/width.ts";
import { createScreen } from "../../support/screen.ts";

/** Text that attacks: controls, sequences, bidi, glue, marks, wide characters, lone halves. */
const hostilePiece = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.constantFrom(
    "\x1b[2J",
    "\x1b[31m",
    "\x1b[0m",
    "\x1b]52;c;aGk=\x07",
    "\x1b]0;title\x1b\\",
    "\x1bP1$r\x1b\\",
    "\x1b(B",
    "\x1bc",
    "\x9b31m",
    "\x9d8;;x\x9c",
    "\x1b[?1049l",
    "\x1b[10;10H",
    "\x1b[6n",
    "\x1b",
    "\x1b[",
    "\x1b]",
    "\r",
    "\b",
    "\t",
    "\0",
    "\x07",
    "\x0e",
    "\x7f",
    "\x85",
    "\x1b[K",
    "\x1b[2K",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\ufe0f",
    "👨‍👩‍👧‍👦",
    "⚠️",
    "👍🏽",
    "🇩🇪",
    "e\u0301\u0302\u0303\u0304",
    "\u0301",
    "日本語",
    "한글",
    "\u1112\u1161\u11ab",
    "क्षि",
    "ไทย",
    "ﷺ",
    "\ud800",
    "\udc00",
    "\u{e0041}",
    "\u20e3",
    "\u3164",
    "ｱﾞ",
    "𝔘",
    "\u2028",
    "a",
    " ",
  ),
);
const hostile = fc.array(hostilePiece, { maxLength: 12 }).map((pieces) => pieces.join(""));

describe("sanitizeLine", () => {
  it("leaves ordinary text as it is", () => {
    for (const text of ["", "gcc -O2 -c foo.c", "café – naïve", "日本語", "→ ✔ ━"])
      expect(sanitizeLine(text)).toBe(text);
  });

  it("removes sequences whole, not only their first byte", () => {
    expect(sanitizeLine("a\x1b[31mred\x1b[0m b")).toBe("ared b");
    expect(sanitizeLine("\x1b]52;c;aGVsbG8=\x07after")).toBe("after");
    expect(sanitizeLine("\x1b]0;title\x1b\\after")).toBe("after");
    expect(sanitizeLine("\x9b2Jafter")).toBe("after");
    expect(sanitizeLine("\x1b(Bafter\x1b=")).toBe("after");
    expect(sanitizeLine("before\x1b]52;c;never ends")).toBe("before");
  });

  it("overwrites after a carriage return as a terminal does", () => {
    expect(sanitizeLine("10%\r20%\r100%")).toBe("100%");
    expect(sanitizeLine("downloading\rdone")).toBe("doneloading");
    expect(sanitizeLine("downloading\r\x1b[Kdone")).toBe("done");
    expect(sanitizeLine("ends with one\r")).toBe("ends with one");
    expect(sanitizeLine("ab\bc")).toBe("ac");
  });

  it("turns tabs into spaces to the next stop of eight", () => {
    expect(sanitizeLine("a\tb")).toBe("a       b");
    expect(sanitizeLine("12345678\tb")).toBe("12345678        b");
  });

  it("cuts at 4096 cells and says so, however long the line is", () => {
    const line = sanitizeLine("x".repeat(1_000_000));
    expect(line).toBe(`${"x".repeat(4096)}…`);
  });

  it("drops what reorders, hides or glues", () => {
    expect(sanitizeLine("abc\u202ecba")).toBe("abccba");
    expect(sanitizeLine("a\u200bb\u2066c")).toBe("abc");
    expect(sanitizeLine("\u0301starts with a mark")).toBe("starts with a mark");
  });

  it("keeps two marks a character, so that no row grows upwards", () => {
    expect(sanitizeLine(`e${"\u0301".repeat(50)}x`)).toBe("e\u0301\u0301x");
  });
});

describe("sanitizeText", () => {
  it("is one line", () => {
    expect(sanitizeText("one\ntwo\r\nthree")).toBe("one two three");
  });
});

describe("sanitizeStyled", () => {
  it("gives colours as styles and nothing else", () => {
    const spans = sanitizeStyled("plain \x1b[1;31mbad\x1b[0m \x1b[38;5;208mo\x1b[38;2;1;2;3mt\x1b[5;8;41mx");
    expect(spans.map((span) => span.text)).toEqual(["plain ", "bad", " ", "o", "tx"]);
    expect(spans[0]?.style).toBe(PLAIN_STYLE);
    expect(spans[1]?.style).toMatchObject({ color: 1, bold: true });
    expect(spans[3]?.style.color).toBe(208);
    expect(spans[4]?.style.color).toBe("#010203");
  });

  it("ignores numbers that mean nothing", () => {
    expect(sanitizeStyled("\x1b[999;38;5;99999mx")[0]?.style).toBe(PLAIN_STYLE);
  });
});

describe("sanitizeColored", () => {
  it("ends what it begins", () => {
    expect(sanitizeColored("\x1b[31mred")).toBe("\x1b[31mred\x1b[0m");
    expect(sanitizeColored("plain")).toBe("plain");
  });
});

describe("whatever comes from outside", () => {
  it("leaves no control character, and is clean already when cleaned again", () => {
    fc.assert(
      fc.property(hostile, (raw) => {
        for (const clean of [
          sanitizeLine(raw),
          sanitizeText(raw),
          sanitizeStyled(raw)
            .map((span) => span.text)
            .join(""),
        ]) {
          expect(clean).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
          expect(sanitizeLine(clean)).toBe(clean);
        }
      }),
    );
  });

  it("is as wide for Ink as for a terminal also where a vowel is written into the letter before it", () => {
    for (const [text, cells] of [
      ["กำ", 2],
      ["น้ำ", 2],
      ["ກຳ", 2],
    ] as const) {
      const clean = sanitizeLine(text, 80);
      expect([displayWidth(clean), stringWidth(clean)]).toEqual([cells, cells]);
      expect(clean).not.toContain("\ufffd");
    }
  });

  it("is as wide for a terminal as for us and for Ink, and stays in its row", async () => {
    const screen = createScreen(200, 3);
    await fc.assert(
      fc.asyncProperty(hostile, async (raw) => {
        const clean = sanitizeLine(raw, 80);
        screen.write(`\x1bc${clean}`);
        await screen.settled();
        expect(displayWidth(clean)).toBe(stringWidth(clean));
        expect(screen.cursor()).toEqual({ x: displayWidth(clean), y: 0 });
      }),
      { numRuns: 400 },
    );
    screen.dispose();
  });
});
