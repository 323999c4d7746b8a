// Plays a recording on its own clock: at any speed, paused, from any position.
import type { Clock } from "../base/clock.ts";
import type { PublishedEvent } from "./event.ts";
import { PLAYBACK_START, type Playback, playTo, type Recording } from "./recording.ts";

/** Events are delivered in steps of this size, so that clocks on the screen run too. */
const STEP_MS = 50;

/** A replay and its controls. */
export interface Replay {
  readonly name: string;
  /** The time at which the run was recorded. */
  readonly clock: Clock;
  state(): { readonly speed: number; readonly isPaused: boolean; readonly position: number; readonly length: number };
  setSpeed(speed: number): void;
  togglePause(): void;
  /** Going back delivers everything from the first event again: the reader forgets what it knew. */
  jumpTo(position: number): void;
  /** Starts; resolves when the last event has been delivered for the first time, or the replay was stopped. */
  run(accept: (events: readonly PublishedEvent[]) => void): Promise<void>;
  stop(): void;
}

/** @param speed 1 is the original speed, 0 as fast as possible */
export function createReplay(recording: Recording, name: string, speed: number, clock: Clock): Replay {
  let playback: Playback = PLAYBACK_START;
  let rate = speed;
  let isPaused = false;
  let before = clock.now();
  let accept: (events: readonly PublishedEvent[]) => void = () => undefined;
  let cancelStep: () => void = () => undefined;
  let finished: () => void = () => undefined;
  const end = new Promise<void>((resolve) => {
    finished = resolve;
  });

  const moveTo = (position: number): void => {
    const moved = playTo(recording, playback, position);
    playback = moved.playback;
    if (moved.events.length > 0) accept(moved.events);
    if (playback.next >= recording.events.length) finished();
  };
  const step = (): void => {
    const now = clock.now();
    const elapsed = now - before;
    before = now;
    if (!isPaused) moveTo(rate === 0 ? recording.length : playback.position + elapsed * rate);
    cancelStep = clock.after(STEP_MS, step);
  };

  return {
    name,
    clock: {
      now: () => clock.now(),
      wallTime: () => recording.startedAt + playback.position,
      after: (delayMs, callback) => clock.after(delayMs, callback),
    },
    state: () => ({ speed: rate, isPaused, position: playback.position, length: recording.length }),
    setSpeed: (next) => {
      rate = next;
    },
    togglePause: () => {
      isPaused = !isPaused;
    },
    jumpTo: moveTo,
    run: (listener) => {
      accept = listener;
      before = clock.now();
      step();
      return end;
    },
    stop: () => {
      cancelStep();
      finished();
    },
  };
}
