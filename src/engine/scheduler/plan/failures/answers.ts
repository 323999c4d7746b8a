// Whether a failure that may be the derivation's or the machine's is the derivation's after all: the same words were heard before.
import type { Goal, Machine } from "../state/records.ts";

import type { Verdict } from "./classify.ts";

/**
 * The verdict in the light of earlier ones: said twice, whether by two machines or by one, it is final, and no machine is suspected for it any more.
 * Otherwise the words are remembered.
 */
export function confirm(goal: Goal, machine: Machine, reason: string, verdict: Verdict): Verdict {
  if (!verdict.isConfirmable) return verdict;
  const words = wordsOf(reason, machine);
  const same = goal.answers.filter((answer) => answer.words === words);
  if (same.length === 0) {
    goal.answers = [...goal.answers, { machine, words, suspected: verdict.effect === "suspect" }];
    return verdict;
  }
  for (const { machine: suspect, suspected } of same) {
    if (suspected && suspect.suspicion > 0) suspect.suspicion -= 1;
  }
  return { kind: "final", exitClass: "other", effect: "nothing", isConfirmable: false };
}

/** The words without what differs from machine to machine and from try to try: its name, numbers, temporary names. */
function wordsOf(reason: string, machine: Machine): string {
  const names = [machine.spec.uri, machine.id].map((name) => name.replace(/[^\w-]/g, "\\$&")).join("|");
  return reason
    .replace(new RegExp(`(?<![\\w.-])(?:${names})(?![\\w-])`, "g"), "MACHINE")
    .replace(/\/(?:tmp|build|var\/tmp)\/[^\s'"]*/g, "TEMPORARY")
    .replace(/\d+/g, "0");
}
