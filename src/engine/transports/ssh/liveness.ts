// Notices a connection that has died silently: nothing arrives although the peer owes an answer.
import type { Clock } from "../../base/clock.ts";

/** The observable state of a connection. */
export interface SignsOfLife {
  /** Bytes received so far. */
  readonly received: number;
  /** Bytes passed to the system so far, up to a constant. */
  readonly sent: number;
  /** Bytes waiting here to be passed to the system. */
  readonly backlog: number;
}

/** What to watch, and when to give up. */
export interface LivenessOptions {
  readonly clock: Clock;
  /** Milliseconds between two checks; the peer must be asked for an answer at least as often. 0 or less: never give up. */
  readonly intervalMs: number;
  /** Consecutive checks without a sign of life before giving up. */
  readonly count: number;
  readonly signs: () => SignsOfLife;
  /** Called once. */
  readonly onSilence: (silentMs: number) => void;
}

/**
 * Checks every interval. Any received byte is a sign of life; so is a backlog that moves, because on a slow link the answer waits behind
 * it; an empty one proves nothing, because the system accepts a few bytes even for a dead link. Counts checks, not time, so that a process
 * that was itself stopped does not blame its peer. The returned function ends the watch.
 */
export function watchLiveness(options: LivenessOptions): () => void {
  const { clock, intervalMs, count, signs } = options;
  if (intervalMs <= 0) return () => undefined;
  let before = signs();
  let silent = 0;
  let cancel: () => void = () => undefined;
  const look = (): void => {
    const now = signs();
    const isAlive = now.received > before.received || (before.backlog > 0 && now.sent > before.sent);
    before = now;
    silent = isAlive ? 0 : silent + 1;
    if (silent > count) {
      options.onSilence(intervalMs * count);
      return;
    }
    cancel = clock.after(intervalMs, look);
  };
  cancel = clock.after(intervalMs, look);
  return () => cancel();
}
