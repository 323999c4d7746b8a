// What a run would do, by the rules the plan goes by, without doing it (`--dry-run`).

import { neededGoals } from "../scheduler/plan/goals/goal-specs.ts";
import type { PlanOptions } from "../scheduler/plan/options.ts";
import { type Refusal, refusalOf, unmatchableMessage } from "../scheduler/plan/queues/match.ts";
import type { RunMachine } from "./machine-connector.ts";
import type { RunPlan } from "./plan-run.ts";

/** As `--max-jobs 0` says of this machine. */
const NO_SLOTS: Refusal = { type: "noSlots" };

/** What `--dry-run` found. */
export interface DryRun {
  /** Sizes in bytes. */
  readonly work: {
    readonly derivations: readonly string[];
    readonly paths: readonly string[];
    readonly downloadBytes: number;
    readonly unpackedBytes: number;
  };
  /** For each derivation that would be built: the machines that could take it, or why none can. */
  readonly placement: readonly {
    readonly name: string;
    readonly machines: readonly string[];
    readonly refusal: string;
  }[];
}

/** Says what a planned run would do. */
export function dryRunOf(plan: RunPlan, machines: readonly RunMachine[], options: PlanOptions): DryRun {
  const needed = neededGoals(plan.goals).filter(
    (goal) => goal.kind === "derivation" && (goal.validity === "missing" || goal.check),
  );
  const placement = needed.map((goal) => {
    const judged = machines.map(({ spec }) => ({
      machine: spec.machine,
      refusal: refusalOf(goal, spec, options) ?? (spec.slots === 0 ? NO_SLOTS : null),
    }));
    const refused = judged.flatMap(({ machine, refusal }) => (refusal === null ? [] : [{ machine, refusal }]));
    return {
      name: goal.name,
      machines: judged.filter(({ refusal }) => refusal === null).map(({ machine }) => machine),
      refusal: unmatchableMessage(goal, refused),
    };
  });
  const { willSubstitute, downloadSize, narSize } = plan.missing;
  const work = {
    derivations: needed.map((goal) => goal.goal),
    paths: [...willSubstitute],
    downloadBytes: Number(downloadSize),
    unpackedBytes: Number(narSize),
  };
  return { work, placement };
}
