// From two samples of a machine to the share of each core in use, or nothing yet.
import type { CoreCounters, UsageReading, UsageSample } from "./sample.ts";

/**
 * The reading between two samples. Null when nothing can be said: there is no earlier sample of counters, or no time has passed on any
 * core. A core that was not there before, or whose counters went backwards (it was taken off and came back), counts as idle.
 */
export function usageBetween(before: UsageSample | null, now: UsageSample): UsageReading | null {
  const cores = coreShares(before, now);
  return cores === null ? null : { host: now.host, cores, load1: now.load1, memory: now.memory };
}

function coreShares(before: UsageSample | null, now: UsageSample): number[] | null {
  if (now.processor.type === "shares") return [...now.processor.cores];
  if (before === null || before.processor.type !== "counters") return null;
  const earlier = new Map(before.processor.cores.map((core) => [core.core, core]));
  let timePassed = false;
  const shares = now.processor.cores.map((core) => {
    const share = shareOf(earlier.get(core.core), core);
    timePassed ||= share !== null;
    return share ?? 0;
  });
  return timePassed ? shares : null;
}

function shareOf(before: CoreCounters | undefined, now: CoreCounters): number | null {
  if (before === undefined) return null;
  const total = now.total - before.total;
  const busy = now.busy - before.busy;
  if (total <= 0 || busy < 0) return null;
  return Math.min(1, busy / total);
}
