// Randomness that is a value: a seed gives the same draws again, so that a replay makes the same decisions.
import type { Waits } from "../options.ts";

/** State of the generator (mulberry32); drawing changes it. */
export interface RandomState {
  value: number;
}

/** A number in [0, 1). */
export function draw(state: RandomState): number {
  state.value = (state.value + 0x6d2b79f5) >>> 0;
  let t = state.value;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** Milliseconds to wait after the `failures`-th failure in a row (1-based): doubling, capped, half of it drawn so that nothing comes back in step. */
export function jitteredWait(waits: Waits, failures: number, state: RandomState): number {
  const full = Math.min(waits.longestMs, waits.firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 40));
  return Math.round(full / 2 + (full / 2) * draw(state));
}
