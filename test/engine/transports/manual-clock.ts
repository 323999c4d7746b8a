// A clock that moves only when told: for code that waits.
import type { Clock } from "../../../src/engine/base/clock.ts";

/** The clock and the hand that moves it. */
export interface ManualClock extends Clock {
  /** Moves on by `ms`, calling what falls due, in order; lets promises settle in between. */
  advance(ms: number): Promise<void>;
  /** Callbacks not yet due. */
  readonly pending: number;
}

/** A clock at 0. */
export function manualClock(): ManualClock {
  let now = 0;
  let alarms: { readonly due: number; readonly callback: () => void }[] = [];
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    wallTime: () => 1_700_000_000_000 + now,
    after: (delayMs, callback) => {
      const alarm = { due: now + delayMs, callback };
      alarms.push(alarm);
      return () => {
        alarms = alarms.filter((other) => other !== alarm);
      };
    },
    advance: async (ms) => {
      const end = now + ms;
      await settle();
      for (;;) {
        const next = alarms.filter((alarm) => alarm.due <= end).sort((a, b) => a.due - b.due)[0];
        if (next === undefined) break;
        alarms = alarms.filter((other) => other !== next);
        now = Math.max(now, next.due);
        next.callback();
        await settle();
      }
      now = end;
      await settle();
    },
    get pending() {
      return alarms.length;
    },
  };
}
