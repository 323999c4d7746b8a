// Notices a connection that has died without a word: nothing arrives although something was asked.
import type { Clock } from "../../base/clock.ts";

/** What can be seen of a connection. */
export interface SignsOfLife {
  /** Bytes received so far. */
  readonly received: number;
  /** Bytes handed to the system so far, up to a constant. */
  readonly sent: number;
  /** Bytes waiting here to be handed to the system. */
  readonly backlog: number;
}

/** What to watch and when to give up. */
export interface LivenessOptions {
  readonly clock: Clock;
  /** Milliseconds between two looks; somebody must ask the peer for an answer at least as often. 0 or less: never give up. */
  readonly intervalMs: number;
  /** Looks in a row without a sign of life that are borne. */
  readonly count: number;
  readonly signs: () => SignsOfLife;
  /** Called once. */
  readonly onSilence: (silentMs: number) => void;
}

/**
 * Looks every interval. Anything that arrived is a sign of life; so is a backlog that moves, because on a slow link the answer waits behind
 * it; an empty one says nothing, because the system takes a few bytes even for a dead link. Looks are counted, not time, so that a process
 * that was stopped itself does not blame its peer. The returned function ends the watch.
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
