import { describe, expect, it } from "vitest";
import type { EvaluationOptions } from "../../../src/engine/evaluate/nix-options.ts";
import { expressionFlags, settingFlags } from "../../../src/engine/evaluate/nix-options.ts";

const OPTIONS: EvaluationOptions = {
  arguments: [],
  lookupPath: [],
  settingsOverrides: new Map(),
  store: null,
  showTrace: false,
  flakeFlags: [],
};

describe("flags for Nix's programs", () => {
  it("are Nix's settings only, without those newer Nix does not know", () => {
    const settingsOverrides = new Map([
      ["cores", "2"],
      ["rounds-on", "any"],
      ["repeat", "1"],
      ["store", "daemon"],
      ["extra-substituters", "x"],
      ["pure-eval", "true"],
    ]);
    expect(settingFlags({ ...OPTIONS, settingsOverrides, store: "/my", showTrace: true })).toEqual([
      "--store",
      "/my",
      "--option",
      "cores",
      "2",
      "--option",
      "extra-substituters",
      "x",
      "--option",
      "pure-eval",
      "true",
      "--show-trace",
    ]);
  });

  it("keep arguments and the lookup path in order", () => {
    const given = [
      { type: "expression", name: "a", value: "1" },
      { type: "text", name: "b", value: "x y" },
    ] as const;
    expect(expressionFlags({ ...OPTIONS, arguments: given, lookupPath: ["nixpkgs=/n", "/p"] })).toEqual([
      "--arg",
      "a",
      "1",
      "--argstr",
      "b",
      "x y",
      "-I",
      "nixpkgs=/n",
      "-I",
      "/p",
    ]);
  });
});
