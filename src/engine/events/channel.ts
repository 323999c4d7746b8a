// Delivers events to readers in order: numbered, timed, in batches, to every listener.
import type { EngineEvent, PublishedEvent } from "./event.ts";

/** Receives batches of events, in order and without gaps from when it began to listen. Must not throw. */
export type EventListener = (events: readonly PublishedEvent[]) => void;

/** The ordered fan-out of one run. */
export interface EventChannel {
  publish(event: EngineEvent): void;
  /** Returns the function that ends it. */
  listen(listener: EventListener): () => void;
  /** Delivers at once the events that wait for the next turn. */
  flush(): void;
}

/**
 * @param wallTime ms since 1970, put on each event
 * @param later runs a function in a later turn (`setImmediate`): events of one turn arrive as one batch
 */
export function createEventChannel(wallTime: () => number, later: (run: () => void) => void): EventChannel {
  const listeners = new Set<EventListener>();
  let seq = 0;
  let pending: PublishedEvent[] = [];
  let scheduled = false;
  const flush = (): void => {
    if (pending.length === 0) return;
    const batch = pending;
    pending = [];
    for (const listener of listeners) listener(batch);
  };
  return {
    publish(event) {
      pending.push({ seq: seq++, at: wallTime(), event });
      if (scheduled) return;
      scheduled = true;
      later(() => {
        scheduled = false;
        flush();
      });
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush,
  };
}
