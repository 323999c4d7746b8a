import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogBuffer } from "../../../../src/ui/model/board/log-buffer.ts";

describe("LogBuffer", () => {
  it("is the end of everything pushed, whatever its capacity and however it shrinks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 5 }), { maxLength: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 10 }),
        (lines, capacity, smaller) => {
          const buffer = new LogBuffer(capacity);
          for (const line of lines) buffer.push(line);
          expect(buffer.total).toBe(lines.length);
          expect(buffer.tail(100)).toEqual(lines.slice(-capacity));
          buffer.shrink(smaller);
          const kept = Math.min(capacity, smaller);
          expect(buffer.tail(100)).toEqual(lines.slice(-kept));
          buffer.push("after");
          expect(buffer.line(lines.length)).toBe("after");
          expect(buffer.tail(smaller)).toEqual([...lines.slice(-kept), "after"].slice(-smaller));
          expect(buffer.line(lines.length + 1)).toBeNull();
        },
      ),
    );
  });

  it("keeps the start of a line of megabytes only", () => {
    const buffer = new LogBuffer(2);
    buffer.push("x".repeat(1_000_000));
    expect(buffer.line(0)?.length).toBe(8192);
  });
});
