// How long to wait before trying a failed machine again: doubling, capped, spread by a random value that is handed in.

/** The shape of the waiting times. */
export interface BackoffLimits {
  /** Wait after the first failure, in ms. */
  readonly firstMs: number;
  /** No wait is longer, in ms. */
  readonly longestMs: number;
}

/** One second doubling to two minutes. */
export const DEFAULT_BACKOFF: BackoffLimits = { firstMs: 1000, longestMs: 120_000 };

/**
 * Milliseconds to wait after the `failures`-th failure in a row (1-based). Half of the doubled time is certain and half is spread by
 * `random` (0 ≤ random < 1), so that machines that failed together do not come back together.
 */
export function backoffDelay(failures: number, random: number, limits: BackoffLimits = DEFAULT_BACKOFF): number {
  const doublings = Math.min(Math.max(0, Math.floor(failures) - 1), 40);
  const full = Math.min(limits.longestMs, limits.firstMs * 2 ** doublings);
  const spread = Math.min(Math.max(random, 0), 1);
  return Math.round(full / 2 + (full / 2) * spread);
}
