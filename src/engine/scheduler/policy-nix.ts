// Nix's own order: goals as they come, machines by load over speed factor (build-remote.cc, Nix 2.8 to 2.34).
import type { GoalOrder } from "./goal-class.ts";
import { freeSlots, type Machine, speedOf } from "./machine.ts";
import type { Policy } from "./policy.ts";

/** Goals in the order they came, which is depth first from the targets. */
export const NIX_ORDER: GoalOrder = {
  before: (a, b) => (a.boost === b.boost ? a.index < b.index : a.boost > b.boost),
  weigh: (goal) => (goal.boost > 0 ? Number.MAX_VALUE : -goal.index),
};

/**
 * Among machines with a free slot: the lowest load over speed factor, then the higher speed factor, then the lower load, then the earlier in the list.
 * The local machine comes after the others, as Nix asks the build hook first and builds itself when that declines.
 */
export const nixPolicy: Policy = {
  waitsForArrivals: false,
  begin: () => undefined,
  choose: (_plan, _goal, candidates) => {
    let best: Machine | null = null;
    for (const machine of candidates) {
      if (freeSlots(machine) > 0 && (best === null || comesBefore(machine, best))) best = machine;
    }
    if (best === null) return { type: "busy" };
    const explanation = `lowest load over speed factor: ${best.running} of ${best.slots} slots busy, speed factor ${speedOf(best)}`;
    return { type: "start", machine: best, expectedMs: 0, explanation };
  },
  start: (_plan, _goal, machine, explanation) => ({ type: "start", machine, expectedMs: 0, explanation }),
};

function comesBefore(a: Machine, b: Machine): boolean {
  if (a.spec.isLocal !== b.spec.isLocal) return b.spec.isLocal;
  if (a.streak !== b.streak && Math.max(a.streak, b.streak) > 1) return a.streak < b.streak;
  const loadA = a.running / speedOf(a);
  const loadB = b.running / speedOf(b);
  if (loadA !== loadB) return loadA < loadB;
  if (speedOf(a) !== speedOf(b)) return speedOf(a) > speedOf(b);
  if (a.running !== b.running) return a.running < b.running;
  return a.index < b.index;
}
