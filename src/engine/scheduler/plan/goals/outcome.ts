// How the whole run ended: counts from the goals' results, and Nix's exit status.

import type { ExitClass, RunOutcome } from "../../../events/event.ts";
import { isDone } from "../state/goal.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal } from "../state/records.ts";

/** Adds up the ends of all needed goals. */
export function outcomeOf(plan: Plan): RunOutcome {
  const counts = { built: 0, substituted: 0, alreadyValid: 0, failed: 0, cancelled: 0, notBuilt: 0 };
  const classes = new Set<ExitClass>();
  for (const goal of plan.goals.values()) {
    if (goal.phase.type !== "finished") continue;
    const { result } = goal.phase;
    counts[result.type] += 1;
    if (result.type === "failed") classes.add(result.failure.exitClass);
  }
  const undone = plan.targets.some((goal) => !isDone(goal));
  const interrupted = plan.halt?.type === "stopped" && undone;
  const outputs = plan.targets.flatMap(outputPaths);
  return { exitStatus: exitStatus(classes, undone, interrupted, plan.hookFailed), ...counts, outputs, interrupted };
}

/**
 * Nix's exit status (`Worker::exitStatus`): 0110 0000 with bits for build failures (4), of them timeouts (1) and hash mismatches (2), and for checks
 * that differ (8); 1 for what has no bit. 130 when interrupted, as shells have it.
 */
export function exitStatus(
  classes: ReadonlySet<ExitClass>,
  undone: boolean,
  interrupted: boolean,
  hookFailed: boolean,
): number {
  if (interrupted) return 130;
  let mask = 0;
  if (classes.has("build") || classes.has("timeout") || classes.has("hashMismatch")) mask |= 4;
  if (classes.has("timeout")) mask |= 1;
  if (classes.has("hashMismatch")) mask |= 2;
  if (classes.has("notDeterministic")) mask |= 8;
  if (mask > 0) return 96 | mask;
  return undone || classes.size > 0 || hookFailed ? 1 : 0;
}

function outputPaths(goal: Goal): string[] {
  if (goal.phase.type !== "finished") return [];
  const { result } = goal.phase;
  return "outputs" in result ? result.outputs.map((output) => output.path) : [];
}
