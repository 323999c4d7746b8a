// How long the end of a run waits for jobs of earlier ones: as long as they get on.
import type { Clock } from "../../base/clock.ts";

/**
 * One of them must succeed this often, in ms: what an interrupted run had left is done, and what hangs or fails costs a run that did not make it no more
 * than this once.
 */
const GRACE_MS = 5_000;

/** Begins when there is nothing else to wait for. */
export class Grace {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #current: { isOver: boolean; readonly takeBack: () => void } | null = null;

  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Begins it where it has not begun, and says whether it is over. */
  isOver(): boolean {
    if (this.#current === null) this.#begin();
    return this.#current?.isOver ?? false;
  }

  /** One got on: if it has begun, it begins again. */
  renew(): void {
    if (this.#current === null) return;
    this.end();
    this.#begin();
  }

  end(): void {
    this.#current?.takeBack();
    this.#current = null;
  }

  #begin(): void {
    const takeBack = this.#clock.after(GRACE_MS, () => {
      if (this.#current !== null) this.#current.isOver = true;
      this.#onOver();
    });
    this.#current = { isOver: false, takeBack };
  }
}
