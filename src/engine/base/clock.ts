// The clock that is passed in: the only place in the engine that reads the machine's time.

/** Time as the engine sees it. Tests and replays pass in their own. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin; for durations and deadlines. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC; for what is shown or stored. */
  wallTime(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
