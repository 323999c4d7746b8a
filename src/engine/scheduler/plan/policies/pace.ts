// How fast a machine works: its speed factor is a claim, and what its builds took beside those of others replaces it as evidence grows.

import { speedOf } from "../state/machine.ts";
import type { Machine } from "../state/records.ts";

/** How far off speed factors are taken to be (standard deviation of the logarithm): a few builds do not refute one, many do. */
const CLAIM_SPREAD = 0.1;

/** So many times slower than it claims to be is a machine taken to be that has shown nothing, where its speed is bet on. */
export const CLAIM_DOUBT = 2;

/** However well lengths are known, no single build says more than one of this spread. */
const LEAST_SPREAD = 0.15;

/** Notes a build that took `log` (logarithm) longer than it would at the claimed speed; `spread` is how far off such builds are anyway. */
export function notePace({ pace }: Machine, log: number, spread: number): void {
  const weight = 1 / Math.max(LEAST_SPREAD, spread) ** 2;
  pace.weight += weight;
  pace.sum += weight * log;
  pace.slower = Math.exp(pace.sum / (pace.weight + 1 / CLAIM_SPREAD ** 2));
  pace.doubt = CLAIM_DOUBT ** (1 / (1 + pace.weight * CLAIM_SPREAD ** 2));
}

/** What a machine is taken to need where its being faster is bet on: the gain that is claimed counts as far as it is borne out. */
export function doubtedMs(takesMs: number, machine: Machine, otherMs: number, other: Machine): number {
  return takesMs >= otherMs ? takesMs : Math.min(otherMs, takesMs * Math.max(machine.pace.doubt, other.pace.doubt));
}

/** Work per time: the speed factor as far as it has been borne out. */
export function paceOf(machine: Machine): number {
  return speedOf(machine) / machine.pace.slower;
}
