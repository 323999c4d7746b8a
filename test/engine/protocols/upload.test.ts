// Gathering: whatever the sizes of the chunks, the bytes come out in their order.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gather } from "../../../src/engine/protocols/upload.ts";

async function gathered(sizes: readonly number[]): Promise<Buffer[]> {
  const chunks = sizes.map((size, index) => Buffer.alloc(size, index + 1));
  const out: Buffer[] = [];
  for await (const chunk of gather(chunks)) out.push(Buffer.from(chunk));
  return out;
}

describe("gather", () => {
  it("keeps the order of bytes, also when a middling chunk follows a small one", async () => {
    const sizes = [100, 40 * 1024, 8, 70 * 1024, 1, 33 * 1024];
    const expected = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index + 1)));
    expect(Buffer.concat(await gathered(sizes)).equals(expected)).toBe(true);
  });

  it("keeps the order of bytes for chunks of any size", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 80 * 1024 }), { maxLength: 12 }), async (sizes) => {
        const expected = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index + 1)));
        expect(Buffer.concat(await gathered(sizes)).equals(expected)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it("puts many small chunks together", async () => {
    expect(await gathered(Array.from({ length: 1000 }, () => 50))).toHaveLength(1);
  });
});
