// What every end of a claim has in common: its slot is free, and it is no longer open.
import type { Claim } from "../state/records.ts";
import type { Turn } from "../state/turn.ts";

/** Frees the claim's slot. */
export function releaseSlot(turn: Turn, claim: Claim): void {
  const { machine } = claim;
  if (claim.state.type !== "running") return;
  machine.lanes[claim.slot] = null;
  while (machine.lanes.length > 0 && machine.lanes.at(-1) === null) machine.lanes.pop();
  machine.running -= 1;
  machine.hasFreed = true;
  turn.plan.stirred = true;
}

/** The claim has ended: nothing runs for it. */
export function closeClaim(claim: Claim): void {
  claim.state = { type: "ended" };
  claim.goal.open = claim.goal.open.filter((open) => open !== claim);
}
