// A delay line: hands bytes on in order after a fixed time, at no more than a given rate, as a long link does.
import type { Clock } from "../../src/engine/base/clock.ts";

/** How slow a link is. */
export interface LinkSpeed {
  /** One-way delay in ms. */
  readonly delayMs: number;
  /** Bytes a second, null for no bound. */
  readonly bytesPerSecond: number | null;
}

interface Item {
  readonly due: number;
  readonly deliver: () => void;
}

/** Calls back in the order of sending, each when its bytes would have arrived. */
export class DelayLine {
  readonly #clock: Clock;
  readonly #speed: LinkSpeed;
  #items: Item[] = [];
  #sentUntil = 0;
  #cancelAlarm: (() => void) | null = null;

  constructor(clock: Clock, speed: LinkSpeed) {
    this.#clock = clock;
    this.#speed = speed;
  }

  /** Sends `bytes` bytes (0 for an end mark, which stays behind what was sent before). */
  send(bytes: number, deliver: () => void): void {
    const now = this.#clock.now();
    const rate = this.#speed.bytesPerSecond;
    this.#sentUntil = Math.max(now, this.#sentUntil) + (rate === null ? 0 : (bytes * 1000) / rate);
    this.#items.push({ due: this.#sentUntil + this.#speed.delayMs, deliver });
    this.#arm();
  }

  /** Forgets everything under way. */
  clear(): void {
    this.#items = [];
    this.#cancelAlarm?.();
    this.#cancelAlarm = null;
  }

  #arm(): void {
    const first = this.#items[0];
    if (first === undefined || this.#cancelAlarm !== null) return;
    this.#cancelAlarm = this.#clock.after(Math.max(0, first.due - this.#clock.now()), () => {
      this.#cancelAlarm = null;
      this.#deliverDue();
      this.#arm();
    });
  }

  #deliverDue(): void {
    const now = this.#clock.now();
    let count = 0;
    while (count < this.#items.length && (this.#items[count]?.due ?? Number.POSITIVE_INFINITY) <= now) count++;
    for (const item of this.#items.splice(0, count)) item.deliver();
  }
}
