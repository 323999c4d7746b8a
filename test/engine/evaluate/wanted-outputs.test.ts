import { describe, expect, it } from "vitest";
import { groupByOutputs, parseOutputs, withOutputs } from "../../../src/engine/evaluate/wanted-outputs.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";

describe("attributes with outputs", () => {
  it("evaluates together what has none chosen, and each other one by itself, in order", () => {
    expect(groupByOutputs(["a", "b.c", "d^dev", "e^*", "f"])).toEqual([
      { attributes: ["a", "b.c"], outputs: { type: "default" } },
      { attributes: ["d"], outputs: { type: "named", names: ["dev"] } },
      { attributes: ["e"], outputs: { type: "all" } },
      { attributes: ["f"], outputs: { type: "default" } },
    ]);
  });

  it("is the whole without any", () => {
    expect(groupByOutputs([])).toEqual([{ attributes: [], outputs: { type: "default" } }]);
  });

  it("leaves a caret within quotes to the name", () => {
    expect(groupByOutputs(['"a^b"', '"a^b"^out'])).toEqual([
      { attributes: ['"a^b"'], outputs: { type: "default" } },
      { attributes: ['"a^b"'], outputs: { type: "named", names: ["out"] } },
    ]);
  });

  it("says what was expected behind the caret", () => {
    expect(() => groupByOutputs(["a^"])).toThrow(
      "'a^': expected output names separated by ',' or '*' behind '^', found ''",
    );
    expect(() => parseOutputs("out,", "x^out,")).toThrow("found 'out,'");
  });
});

describe("withOutputs", () => {
  const path = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-a.drv" as StorePath;

  it("replaces what the evaluation says only where outputs were chosen", () => {
    const target = { type: "built", drvPath: path, outputs: ["out"] } as const;
    expect(withOutputs(target, { type: "default" })).toBe(target);
    expect(withOutputs(target, { type: "all" })).toEqual({ ...target, outputs: "all" });
    expect(withOutputs(target, { type: "named", names: ["dev", "doc"] })).toEqual({
      ...target,
      outputs: ["dev", "doc"],
    });
  });
});
