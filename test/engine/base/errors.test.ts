// A message and its hint are separate sentences, however they were written.
import { describe, expect, it } from "vitest";
import { EngineError, withHint, wordsOf } from "../../../src/engine/base/errors.ts";
import { noticeLines } from "../../../src/ui/renderers/lines/notice-lines.ts";

describe("a message and its hint", () => {
  it.each([
    ["cannot reach it", "check the address", "cannot reach it. Check the address"],
    ["cannot reach 'a'", "it has: out", "cannot reach 'a'. It has: out"],
    ["ended already.", "try again", "ended already. Try again"],
    ["failed with exit code 1;", "look there", "failed with exit code 1. Look there"],
    ["no key", "ssh-keygen makes one", "no key. ssh-keygen makes one"],
    ["no key", "--from DIR names one", "no key. --from DIR names one"],
    ["no sandbox", "sandbox = relaxed does without", "no sandbox. sandbox = relaxed does without"],
    ["no hint", null, "no hint"],
  ])("%s + %s", (message, hint, both) => {
    expect(withHint(message, hint)).toBe(both);
    expect(wordsOf(new EngineError("store", "CODE", message, hint === null ? {} : { hint }))).toBe(both);
  });

  it("repeat no password of a URI", () => {
    const error = new EngineError("store", "CODE", "no 'https://u:pw@h'", { hint: "try ssh://v:pw@i" });
    expect(wordsOf(error)).toBe("no 'https://u:***@h'. Try ssh://v:***@i");
  });

  it("stand below each other as sentences of their own, too", () => {
    expect(noticeLines("warning: ", "no sandbox", "set sandbox = false", false)).toEqual([
      "warning: no sandbox.",
      "       Set sandbox = false",
    ]);
    // Nix points at places with its last lines: nothing is put after those.
    expect(noticeLines("error: ", "at x.nix:1\n   ^", "look there", false)).toEqual([
      "error: at x.nix:1",
      "   ^",
      "       Look there",
    ]);
  });
});
