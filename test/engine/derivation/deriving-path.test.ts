import { describe, expect, it } from "vitest";
import { basePathOf, parseDerivingPath, printDerivingPath } from "../../../src/engine/derivation/deriving-path.ts";
import { samplePath } from "./samples.ts";

const drv = samplePath(1, "a.drv");

describe("deriving paths", () => {
  it.each([
    [drv, { type: "opaque", path: drv }],
    [`${drv}^*`, { type: "built", drvPath: drv, outputs: "all" }],
    [`${drv}^out`, { type: "built", drvPath: drv, outputs: ["out"] }],
    [`${drv}^dev,out`, { type: "built", drvPath: drv, outputs: ["dev", "out"] }],
    [`${drv}^out^dev`, { type: "built", drvPath: { drvPath: drv, output: "out" }, outputs: ["dev"] }],
    [
      `${drv}^out^x^*`,
      { type: "built", drvPath: { drvPath: { drvPath: drv, output: "out" }, output: "x" }, outputs: "all" },
    ],
  ] as const)("%s is read and written in both notations", (text, value) => {
    expect(parseDerivingPath(text, "^")).toEqual(value);
    expect(parseDerivingPath(text.replaceAll("^", "!"), "!")).toEqual(value);
    expect(printDerivingPath(parseDerivingPath(text, "^"), "^")).toBe(text);
    expect(printDerivingPath(parseDerivingPath(text, "^"), "!")).toBe(text.replaceAll("^", "!"));
  });

  it("end in a store path", () => {
    const path = parseDerivingPath(`${drv}^out^x^*`, "^");
    expect(path.type === "built" && basePathOf(path.drvPath)).toBe(drv);
  });

  it.each([
    "",
    "a.drv",
    `${drv}^`,
    `${drv}^a,,b`,
    `${drv}^a/b`,
    `${drv}^*^out`,
    `${samplePath(1, "a")}^out`,
    `${drv}!out`,
    `${drv}${"^o".repeat(3000)}`,
  ])("refuses '%s'", (text) => {
    expect(() => parseDerivingPath(text, "^")).toThrow(expect.objectContaining({ code: "DERIVING_PATH_MALFORMED" }));
  });
});
