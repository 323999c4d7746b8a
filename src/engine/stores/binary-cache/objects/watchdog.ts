// Ends operations without progress: a timer that every sign of life resets.
import type { Clock } from "../../../base/clock.ts";

/** Calls back once after `limitMs` without a touch; 0 never does. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #bark: () => void;
  #last: number;
  #takeBack: () => void = () => undefined;

  constructor(clock: Clock, limitMs: number, bark: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#bark = bark;
    this.#last = clock.now();
    if (limitMs > 0) this.#arm(limitMs);
  }

  /** Reports a sign of life. Cheap: makes no timer. */
  touch(): void {
    this.#last = this.#clock.now();
  }

  stop(): void {
    this.#takeBack();
  }

  #arm(delayMs: number): void {
    this.#takeBack = this.#clock.after(delayMs, () => {
      const idle = this.#clock.now() - this.#last;
      if (idle >= this.#limitMs) this.#bark();
      else this.#arm(this.#limitMs - idle);
    });
  }
}

/** Waits, or throws the signal's reason. */
export function delay(clock: Clock, delayMs: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      takeBack();
      reject(signal?.reason);
    };
    const takeBack = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}
