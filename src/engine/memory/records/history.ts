// Usual durations from past builds: by name and machine, else by name on any machine.

/** How many of the last builds count. */
export const REMEMBERED = 10;

/** One build that ended well. */
export interface PastBuild {
  readonly machine: string;
  readonly durationMs: number;
  /** Speed factor the machine had then. */
  readonly speedFactor: number;
}

/**
 * A derivation's name without its version, as Nix splits names: the version begins behind the first dash that no letter follows
 * (`builtins.parseDrvName`).
 */
export function packageName(name: string): string {
  const dash = /-(?![a-zA-Z])/.exec(name);
  return dash === null || dash.index === 0 ? name : name.slice(0, dash.index);
}

/** The middle of the values; of two in the middle, their mean. Null of none. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Expected duration in ms on a machine: the median of the last ten there, else of the last ten anywhere, counted by the machines' speed
 * factors; null when nothing is known.
 * @param past builds of the same package name, newest first
 */
export function expectedDuration(past: readonly PastBuild[], machine: string, speedFactor: number): number | null {
  const there = past.filter((build) => build.machine === machine).slice(0, REMEMBERED);
  if (there.length > 0) return median(there.map((build) => build.durationMs));
  const work = median(past.slice(0, REMEMBERED).map((build) => build.durationMs * build.speedFactor));
  return work === null ? null : work / speedFactor;
}
