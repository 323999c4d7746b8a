import { describe, expect, it } from "vitest";
import { type ChooseInput, chooseRenderer, isCI, isUtf8, wantsColor } from "../../../src/ui/renderers/choose.ts";

const terminal: ChooseInput = {
  ui: "auto",
  stdinIsTTY: true,
  stdoutIsTTY: true,
  stderrIsTTY: true,
  env: { TERM: "xterm" },
};

describe("chooseRenderer", () => {
  it("draws the board on a terminal", () => {
    expect(chooseRenderer(terminal)).toEqual({ kind: "board", drawOn: "stdout" });
  });

  it("draws on stderr when stdout goes elsewhere", () => {
    expect(chooseRenderer({ ...terminal, stdoutIsTTY: false })).toEqual({ kind: "board", drawOn: "stderr" });
  });

  it("prints lines where nobody can see a board", () => {
    for (const change of [
      { stdinIsTTY: false },
      { stdoutIsTTY: false, stderrIsTTY: false },
      { env: { TERM: "dumb" } },
      { env: { CI: "true" } },
      { env: { GITHUB_ACTIONS: "true" } },
    ])
      expect(chooseRenderer({ ...terminal, ...change })).toEqual({ kind: "plain" });
  });

  it("does what it is told", () => {
    for (const ui of ["plain", "json", "quiet"] as const)
      expect(chooseRenderer({ ...terminal, ui })).toEqual({ kind: ui });
    expect(chooseRenderer({ ...terminal, ui: "board", env: { CI: "1" } })).toEqual({ kind: "board", drawOn: "stdout" });
  });

  it("refuses a board that cannot be, and says why and what to do", () => {
    const choice = chooseRenderer({ ...terminal, ui: "board", stdinIsTTY: false });
    expect(choice).toEqual({
      error: "--ui board needs a terminal: standard input is not one",
      hint: "Leave --ui out, or use --ui plain.",
    });
    expect(chooseRenderer({ ...terminal, ui: "board", env: { TERM: "dumb" } })).toHaveProperty("error");
  });
});

describe("the environment", () => {
  it("says whether this is continuous integration", () => {
    expect([isCI({}), isCI({ CI: "false" }), isCI({ CI: "1" }), isCI({ GITLAB_CI: "true" })]).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it("says whether there is colour: NO_COLOR before FORCE_COLOR before the terminal", () => {
    expect(wantsColor({}, true)).toBe(true);
    expect(wantsColor({}, false)).toBe(false);
    expect(wantsColor({ FORCE_COLOR: "1" }, false)).toBe(true);
    expect(wantsColor({ FORCE_COLOR: "0" }, true)).toBe(false);
    expect(wantsColor({ NO_COLOR: "1", FORCE_COLOR: "1" }, true)).toBe(false);
    expect(wantsColor({ NO_COLOR: "" }, true)).toBe(true);
    expect(wantsColor({ TERM: "dumb" }, true)).toBe(false);
  });

  it("says whether the terminal shows more than ASCII", () => {
    expect([
      isUtf8({ LANG: "C.UTF-8" }),
      isUtf8({ LANG: "C" }),
      isUtf8({}),
      isUtf8({ LC_ALL: "C", LANG: "de_DE.utf8" }),
    ]).toEqual([true, false, false, false]);
  });
});
