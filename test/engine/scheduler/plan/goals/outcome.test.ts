import { describe, expect, it } from "vitest";
import type { ExitClass } from "../../../../../src/engine/events/event.ts";
import { exitStatus } from "../../../../../src/engine/scheduler/plan/goals/outcome.ts";

describe("Nix's exit status", () => {
  // Measured on Nix 2.8, 2.26 and 2.34.
  it.each<[ExitClass[], number]>([
    [["build"], 100],
    [["build", "other"], 100],
    [["timeout"], 101],
    [["hashMismatch"], 102],
    [["timeout", "hashMismatch"], 103],
    [["timeout", "hashMismatch", "build"], 103],
    [["notDeterministic"], 104],
    [["notDeterministic", "build"], 108],
    [["notDeterministic", "build", "timeout"], 109],
    [["other"], 1],
    [[], 0],
  ])("of %j is %i", (classes, status) => {
    expect(exitStatus(new Set(classes), classes.length > 0, false, false)).toBe(status);
  });

  it("is 130 when interrupted, and 1 when only a hook failed or something was not done", () => {
    expect(exitStatus(new Set(["build"]), true, true, false)).toBe(130);
    expect(exitStatus(new Set(), false, false, true)).toBe(1);
    expect(exitStatus(new Set(), true, false, false)).toBe(1);
    expect(exitStatus(new Set(["build"]), true, false, true)).toBe(100);
  });
});
