import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { printHash } from "../../../src/engine/formats/hash.ts";
import { HashPartRewriter, SelfReferenceHasher } from "../../../src/engine/formats/rewrite.ts";
import { everySplit } from "./chunks.ts";

const one = "0123456789abcdfghijklmnpqrsvwxyz";
const two = "1123456789abcdfghijklmnpqrsvwxyz";
const text = Buffer.from(`x${one}yy${two}${one}z${one.slice(0, 31)}`);

describe("rewriting hash parts", () => {
  it("replaces each of them once, however the stream is cut", () => {
    for (const chunks of everySplit(text)) {
      const rewriter = new HashPartRewriter(
        new Map([
          [one, Buffer.from(two)],
          [two, Buffer.alloc(32, "#")],
        ]),
      );
      const parts = chunks.map((chunk) => rewriter.push(chunk));
      const expected = `x${two}yy${"#".repeat(32)}${two}z${one.slice(0, 31)}`;
      expect(`${Buffer.concat([...parts, rewriter.finish()])}`).toBe(expected);
      expect(rewriter.positions).toEqual([1, 35, 67]);
    }
    for (const chunks of everySplit(text)) {
      const rewriter = new HashPartRewriter(new Map([[one, Buffer.alloc(32, "#")]]));
      const parts = chunks.map((chunk) => rewriter.push(chunk));
      expect(`${Buffer.concat([...parts, rewriter.finish()])}`).toBe(`${text}`.replaceAll(one, "#".repeat(32)));
      expect(rewriter.positions).toEqual([1, 67]);
    }
  });

  it("hashes contents as if they did not refer to themselves, but where they do", () => {
    const blank = () => createHash("sha256").update(`${text}`.replaceAll(one, "\0".repeat(32)));
    for (const chunks of everySplit(text)) {
      const hasher = new SelfReferenceHasher("sha256", one);
      for (const chunk of chunks) hasher.update(chunk);
      const { withPositions, withoutPositions } = hasher.finish();
      expect(printHash(withPositions, "hex", false)).toBe(blank().update("|1|67").digest("hex"));
      expect(printHash(withoutPositions, "hex", false)).toBe(blank().digest("hex"));
    }
  });

  it("refuses what is no hash part", () => {
    expect(() => new HashPartRewriter(new Map([["short", new Uint8Array(32)]]))).toThrow("hash parts of 32 digits");
  });
});
