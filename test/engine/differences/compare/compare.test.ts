import { describe, expect, it } from "vitest";
import { differingOutputs, judgeAnswer } from "../../../../src/engine/differences/compare/compare.ts";

describe("judgeAnswer", () => {
  const first = new Map([
    ["out", "aa"],
    ["doc", "bb"],
  ]);
  const all = new Set(["out", "doc"]);

  it("compares every output", () => {
    const other = new Map([
      ["doc", "b0"],
      ["out", "a0"],
    ]);
    expect(differingOutputs(first, other).map(({ output }) => output)).toEqual(["out", "doc"]);
    expect(judgeAnswer("Built", first, other, all)).toMatchObject({ type: "differs", differences: { length: 2 } });
    expect(judgeAnswer("Built", first, other, new Set(["doc"]))).toMatchObject({ differences: [{ output: "doc" }] });
    expect(judgeAnswer("Built", first, first, all)).toEqual({ type: "same" });
  });

  it("does not take an answer without a build for a comparison, nor a failure for a difference", () => {
    expect(judgeAnswer("AlreadyValid", first, new Map([["out", "xx"]]), all)).toEqual({ type: "notExecuted" });
    expect(judgeAnswer("NotDeterministic", first, new Map(), all)).toEqual({ type: "toldDifferent" });
    expect(judgeAnswer("PermanentFailure", first, new Map(), all)).toEqual({ type: "failed" });
    expect(judgeAnswer("TimedOut", first, new Map(), all)).toEqual({ type: "failed" });
  });
});
