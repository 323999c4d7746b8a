// What stands between one particular goal and a machine of its class: past failures there, trust in its inputs, the rule on rounds.

import type { MachineId } from "../../../events/ids.ts";
import { roundMayUse } from "../rounds/round-rules.ts";
import { nextRound } from "../state/goal.ts";
import { lastingRefusal } from "../state/goal-class.ts";
import { freeSlots } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal, Machine } from "../state/records.ts";
import { isContentAddressed, type Refusal } from "./match.ts";

/** A reason of this goal alone why the machine may never build its next round, null when it may. */
export function goalRefusal(plan: Plan, goal: Goal, machine: Machine): Refusal | null {
  const excluded = goal.trouble?.get(machine.index)?.excluded ?? null;
  if (excluded !== null) return { type: "excluded", reason: excluded };
  const { phase } = goal;
  if (phase.type === "building" && phase.rounds.length > 1) {
    const rule = plan.options.roundsOn;
    if (rule !== "any" && !roundMayUse(phase, nextRound(goal), machine, rule)) return { type: "rounds", rule };
  }
  const input = machine.trusted === false && !machine.spec.isLocal ? forbiddenInput(plan, goal, machine) : null;
  return input === null ? null : { type: "inputNotAllowed", input: input.spec.name };
}

/**
 * The first input that an account without trust may not be given: unsigned, not content-addressed, and not built there (daemon: "lacks a signature by a
 * trusted key"). Only direct inputs are looked at; what they refer to may still be refused when it is sent.
 */
function forbiddenInput(plan: Plan, goal: Goal, machine: Machine): Goal | null {
  for (const input of goal.inputs) {
    if (isContentAddressed(input.spec.addressing) || input.places.includes(machine.index)) continue;
    if (!plan.options.carriesSignature(input.spec)) return input;
  }
  return null;
}

/** A store must never be asked twice at once for one derivation: the second would wait for the first one's lock. */
function isBuildingThere(goal: Goal, machine: Machine): boolean {
  return goal.open.some((claim) => claim.machine === machine && claim.state.type === "running");
}

/** The usable machines of its class that may be given the goal's next round; where it failed before only when there is no other. */
export function candidatesFor(plan: Plan, goal: Goal, usable: readonly Machine[]): readonly Machine[] {
  const plain = goal.trouble === null && goal.open.length === 0 && !plan.hasUntrusted && goal.spec.rounds <= 1;
  if (plain) return usable;
  const allowed = usable.filter(
    (machine) => !isBuildingThere(goal, machine) && goalRefusal(plan, goal, machine) === null,
  );
  if (goal.trouble !== null) {
    const untroubled = allowed.filter((machine) => !goal.trouble?.has(machine.index));
    if (untroubled.length > 0) return untroubled;
  }
  if (goal.open.length > 0 || goal.spec.rounds > 1) {
    // Another machine says more about determinism, and rounds run side by side there.
    const unused = allowed.filter((machine) => freeSlots(machine) > 0 && !hasRoundOn(goal, machine));
    if (unused.length > 0) return unused;
  }
  return allowed;
}

function hasRoundOn(goal: Goal, machine: Machine): boolean {
  if (goal.phase.type !== "building") return false;
  return goal.phase.rounds.some(
    (round) => (round.type === "running" || round.type === "built") && round.claim.machine === machine,
  );
}

/** Every machine's lasting reason not to build the goal; null when at least one may build it some time. */
export function lastingRefusals(
  plan: Plan,
  goal: Goal,
): { readonly machine: MachineId; readonly refusal: Refusal }[] | null {
  const found: { readonly machine: MachineId; readonly refusal: Refusal }[] = [];
  for (const machine of plan.machines) {
    const refusal = lastingRefusal(goal.spec, machine, plan.options) ?? goalRefusal(plan, goal, machine);
    if (refusal === null) return null;
    found.push({ machine: machine.id, refusal });
  }
  return found;
}
