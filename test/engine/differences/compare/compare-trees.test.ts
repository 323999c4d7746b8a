import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareTrees, type TreeDifference } from "../../../../src/engine/differences/compare/compare-trees.ts";
import type { NarTree } from "../../../../src/engine/formats/nar/tree.ts";
import { directory, file, link, nar } from "./trees.ts";

async function compare(first: NarTree, other: NarTree, chunk = 1 << 20): Promise<readonly TreeDifference[]> {
  return (await compareTrees(nar(first, chunk), nar(other, chunk), 50)).differences;
}

describe("compareTrees", () => {
  it("finds nothing in equal trees", async () => {
    const tree = directory({ a: file("x"), b: directory({ c: link("a"), d: file("y", true) }) });
    expect(await compare(tree, tree, 7)).toEqual([]);
  });

  it("finds every kind of difference, in archive order, whatever the chunks", async () => {
    const first = directory({
      bin: directory({ tool: file("#!sh", true) }),
      gone: directory({ a: file("12345"), b: link("a") }),
      kind: file("x"),
      link: link("one"),
      same: file("same"),
      text: file("hello world"),
    });
    const other = directory({
      bin: directory({ tool: file("#!sh") }),
      extra: file("abc"),
      kind: directory({}),
      link: link("two"),
      same: file("same"),
      text: file("hello moon"),
    });
    for (const chunk of [1, 8, 13, 64, 1 << 20]) {
      const found = await compare(first, other, chunk);
      expect(found).toMatchObject([
        { type: "mode", path: "bin/tool", firstExecutable: true },
        { type: "onlyIn", path: "extra", side: "other", kind: "file", size: 3n },
        { type: "onlyIn", path: "gone", side: "first", kind: "directory", size: 5n },
        { type: "kind", path: "kind", first: "file", other: "directory" },
        { type: "target", path: "link", first: "one", other: "two" },
        { type: "contents", path: "text", evidence: { offset: 6, firstSize: 11, otherSize: 10, differing: null } },
      ]);
    }
  });

  it("compares a store path that is a file, and one that is the beginning of the other", async () => {
    expect(await compare(file("8108\n"), file("30204\n"))).toMatchObject([
      { type: "contents", path: "", evidence: { offset: 0, firstSize: 5, otherSize: 6 } },
    ]);
    expect(await compare(file("abc"), file("abcdef"), 5)).toMatchObject([{ evidence: { offset: 3, differing: null } }]);
    expect(await compare(file(""), file("x"))).toMatchObject([{ evidence: { offset: 0 } }]);
    expect(await compare(link("a"), file("a"))).toMatchObject([{ type: "kind", first: "symlink", other: "file" }]);
  });

  it("counts the bytes that differ and keeps what surrounds the first", async () => {
    const bytes = (seed: number): Buffer => Buffer.alloc(600_000, seed);
    const [one, two] = [bytes(65), bytes(65)];
    two[300_000] = 66;
    two[300_007] = 66;
    const [found] = await compare(file(one), file(two), 65536);
    expect(found).toMatchObject({
      type: "contents",
      evidence: { offset: 300_000, differing: 2, windowStart: 298_976 },
    });
    if (found?.type !== "contents") throw new Error("expected contents");
    const { first, other } = found.evidence;
    expect([first.window.length, other.window.length]).toEqual([2048, 2048]);
    expect([first.window[1024], other.window[1024]]).toEqual([65, 66]);
    expect([first.whole, Buffer.from(first.head).toString()]).toEqual([null, "A".repeat(16)]);
  });

  it("goes on behind the differences it keeps", async () => {
    const many = (text: string): NarTree =>
      directory(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`f${index}`, file(text)])));
    const { differences, total } = await compareTrees(nar(many("a")), nar(many("b")), 20);
    expect([differences.length, total]).toEqual([20, 300]);
  });

  it("refuses archives that are cut off or go on", async () => {
    const whole = Buffer.concat([...nar(file("abcdefgh"))]);
    await expect(compareTrees([whole.subarray(0, 100)], [whole], 5)).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
    await expect(compareTrees([whole], [whole, Buffer.alloc(8)], 5)).rejects.toMatchObject({ code: "NAR_TRAILING" });
  });

  it("finds a difference exactly when there is one", async () => {
    const leaf = fc.oneof(
      fc
        .record({ text: fc.string({ maxLength: 40 }), executable: fc.boolean() })
        .map(({ text, executable }) => file(text, executable)),
      fc.constantFrom("a", "b").map(link),
    );
    const tree = fc.letrec<{ node: NarTree }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.dictionary(fc.constantFrom("a", "b", "c"), tie("node"), { maxKeys: 3 }).map(directory),
      ),
    })).node;
    await fc.assert(
      fc.asyncProperty(tree, tree, fc.integer({ min: 1, max: 200 }), async (first, other, chunk) => {
        const equal = Buffer.concat([...nar(first)]).equals(Buffer.concat([...nar(other)]));
        expect((await compare(first, other, chunk)).length === 0).toBe(equal);
      }),
      { numRuns: 150, seed: 7 },
    );
  });
});
