import { describe, expect, it } from "vitest";
import { keyText } from "../../../../src/ui/model/view/key-text.ts";
import { bindingFor, KEYMAP } from "../../../../src/ui/model/view/keymap.ts";
import type { ScreenType } from "../../../../src/ui/model/view/view-state.ts";

const SCREENS: readonly ScreenType[] = ["board", "list", "log", "tree", "machines", "failures", "rounds", "help"];

describe("the key table", () => {
  it("gives no key two meanings on one screen", () => {
    for (const screen of SCREENS) {
      const keys = KEYMAP.filter((binding) => binding.screens?.includes(screen) ?? true).flatMap(
        (binding) => binding.keys,
      );
      expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
    }
  });

  it("leads out of every screen, and helps on every one", () => {
    for (const screen of SCREENS) {
      expect(bindingFor("escape", screen)?.action).toBe("back");
      expect(bindingFor("q", screen)?.action).toBe("quit");
      expect(bindingFor("ctrl+c", screen)?.action).toBe("interrupt");
      if (screen !== "help") expect(bindingFor("?", screen)?.action).toBe("openHelp");
    }
  });

  it("destroys nothing on keys that mean something harmless elsewhere", () => {
    expect(bindingFor("k", "board")?.action).toBe("moveUp");
    expect(bindingFor("d", "board")?.section).toBe("look");
    for (const key of ["ctrl+k", "ctrl+r", "c"]) expect(bindingFor(key, "board")).toBeNull();
  });

  it("says of every key what it does, in a word and in a sentence", () => {
    for (const binding of KEYMAP) {
      expect(binding.label).not.toBe("");
      expect(binding.help).toMatch(/\.$/);
      expect(binding.keys.length).toBeGreaterThan(0);
    }
  });

  it("writes keys for people", () => {
    expect(["ctrl+c", "pageup", "return", "x"].map((key) => keyText(key, false))).toEqual(["Ctrl-C", "PgUp", "⏎", "x"]);
    expect(keyText("return", true)).toBe("Enter");
  });
});
