import { expect, it } from "vitest";
import type { Derivation } from "../../../../../src/engine/derivation/derivation.ts";
import type { GoalId } from "../../../../../src/engine/events/ids.ts";
import { byteStringOf } from "../../../../../src/engine/formats/byte-string.ts";
import type { StorePath } from "../../../../../src/engine/formats/store-path.ts";
import { ownSources } from "../../../../../src/engine/scheduler/plan/goals/goal-specs.ts";

const path = (name: string) => `/nix/store/${"1".repeat(32)}-${name}` as StorePath;
const derivation = (...sources: string[]): Derivation => ({
  ...{ name: "x", outputs: new Map(), inputDrvs: new Map(), inputSrcs: new Set(sources.map(path)) },
  ...{ platform: "x86_64-linux", builder: byteStringOf("/bin/sh"), args: [], env: new Map() },
});

it("sources count for the goal that alone has them, among those to be built", () => {
  const derivations = new Map([
    [path("a.drv"), derivation("shell", "a.tar")],
    [path("b.drv"), derivation("shell", "b.tar", "patch")],
    [path("c.drv"), derivation("shell", "patch")],
    [path("valid.drv"), derivation("a.tar")],
  ]);
  const goals = ["a.drv", "b.drv", "c.drv"].map((name) => path(name) as string as GoalId);
  expect([...ownSources(goals, derivations)].map(([source, goal]) => [source.slice(44), goal.slice(44)])).toEqual([
    ["a.tar", "a.drv"],
    ["b.tar", "b.drv"],
  ]);
});
