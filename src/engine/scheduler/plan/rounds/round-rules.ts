// Determinism rounds: where the next round may run, what it is compared with, and whether it differs (Nix manual, Verifying Build Reproducibility).

import type { StartBuild } from "../command.ts";
import type { PlanOptions } from "../options.ts";
import { roundClaims } from "../state/goal.ts";
import type { BuildingPhase, Claim, Goal, Machine, RoundState } from "../state/records.ts";

const QUEUED: RoundState = { type: "queued" };

/** The rounds of a goal before any has started. A check is one build for each round, compared with the store. */
export function initialRounds(goal: Goal, options: PlanOptions): RoundState[] {
  const count = Math.max(1, goal.spec.rounds);
  if (count === 1) return [QUEUED];
  return Array.from({ length: count }, (_, index): RoundState => {
    return index > 0 && options.roundsOn === "same" ? { type: "later" } : { type: "queued" };
  });
}

/** Whether the rule on machines lets the round at `index` run there. */
export function roundMayUse(
  phase: BuildingPhase,
  index: number,
  machine: Machine,
  rule: PlanOptions["roundsOn"],
): boolean {
  if (index === 0 || rule === "any") return true;
  const first = phase.rounds[0]!;
  if (first.type !== "running" && first.type !== "built") return true;
  return rule === "same" ? first.claim.machine === machine : first.claim.machine !== machine;
}

/**
 * What a round's result is compared with while it is built: the first round's when that is there, else what an earlier round left on the machine.
 * Without either, the hashes are compared when both rounds are over.
 */
export function comparisonFor(goal: Goal, machine: Machine): StartBuild["compare"] {
  if (goal.spec.check) return { type: "check" };
  const first = goal.phase.type === "building" ? goal.phase.rounds[0] : undefined;
  if (first?.type === "built") return { type: "round", first: first.claim.id };
  const earlier = roundClaims(goal).find((claim) => claim.machine === machine && claim.end !== null);
  return earlier === undefined ? { type: "none" } : { type: "round", first: earlier.id };
}

/** The number of the round that starts next: the lowest that no claim has. */
export function freeRoundNumber(goal: Goal): number {
  const taken = roundClaims(goal).map((claim) => claim.round);
  let number = 1;
  while (taken.includes(number)) number++;
  return number;
}

/**
 * When the first round is lost, another one that was built plainly takes its place, so that nothing is compared with itself. Returns the index of the
 * round that is to be built again.
 */
export function replaceLost(phase: BuildingPhase, index: number): number {
  if (index !== 0) return index;
  const heir = phase.rounds.findIndex(
    (round, at) =>
      at > 0 && (round.type === "running" || round.type === "built") && round.claim.compare.type === "none",
  );
  if (heir < 0) return index;
  phase.rounds[0] = phase.rounds[heir]!;
  return heir;
}

/** Names of the outputs of `claim` that differ from the first round's. `differsOf` tells what is known of the round it was compared with there. */
export function differencesOf(
  claim: Claim,
  first: Claim,
  differsOf: (claim: string) => readonly string[],
): readonly string[] {
  const own = claim.end?.differs ?? [];
  switch (claim.compare.type) {
    case "check":
      return own;
    case "round":
      return claim.compare.first === first.id ? own : [...new Set([...own, ...differsOf(claim.compare.first)])];
    case "none": {
      const hashes = new Map(first.end?.outputs.map((output) => [output.name, output.narHash]));
      const others = (claim.end?.outputs ?? [])
        .filter((output) => hashes.has(output.name) && hashes.get(output.name) !== output.narHash)
        .map((output) => output.name);
      return [...new Set([...own, ...others])];
    }
  }
}

/** Nix's words for a check that failed, for every output that differs. */
export function checkFailedMessage(goal: Goal, differs: readonly string[], outputs: Claim["end"]): string {
  const paths = pathsOf(goal, differs, outputs).map((path) => `'${path}'`);
  const what = paths.length === 1 ? `output ${paths[0]} differs` : `outputs ${paths.join(", ")} differ`;
  return `derivation '${goal.id}' may not be deterministic: ${what}`;
}

/** Nix's words for a round that differs. */
export function roundDiffersMessages(goal: Goal, differs: readonly string[], outputs: Claim["end"]): string[] {
  return pathsOf(goal, differs, outputs).map((path) => `output '${path}' of '${goal.id}' differs from previous round`);
}

function pathsOf(goal: Goal, names: readonly string[], end: Claim["end"]): string[] {
  return names.map((name) => {
    const known = [...goal.spec.outputPaths, ...(end?.outputs ?? [])].find((output) => output.name === name);
    return known?.path ?? name;
  });
}
