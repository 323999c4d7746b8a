// A clock that stands still until it is told to move: timers due are called in order, at their own time.
import type { Clock } from "../../src/engine/base/clock.ts";

export interface FakeClock extends Clock {
  /** Moves on by this many ms and calls what became due. */
  advance(ms: number): void;
  /** Sets the wall time, for runs that carry their own. */
  setWallTime(ms: number): void;
}

/** @param wallTime where it starts, in ms since 1970 */
export function createFakeClock(wallTime = 0): FakeClock {
  let now = 0;
  let wall = wallTime;
  let timers: { at: number; callback: () => void }[] = [];
  const moveTo = (time: number): void => {
    wall += time - now;
    now = time;
  };
  return {
    now: () => now,
    wallTime: () => wall,
    after: (delayMs, callback) => {
      const timer = { at: now + delayMs, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    advance: (ms) => {
      const end = now + ms;
      for (;;) {
        const [next] = timers.filter((timer) => timer.at <= end).sort((one, other) => one.at - other.at);
        if (next === undefined) break;
        timers = timers.filter((other) => other !== next);
        moveTo(Math.max(now, next.at));
        next.callback();
      }
      moveTo(end);
    },
    setWallTime: (ms) => {
      wall = ms;
    },
  };
}
