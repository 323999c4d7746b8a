// The collector's lock, held shared in short windows: during a window no collector can start, between two windows any can.
import { closeSync, openSync } from "node:fs";
import type { Clock } from "../../../base/clock.ts";
import { flock } from "../files/flock.ts";

/** A window closes after this long without use, and is not used again when older than the second value (milliseconds). */
const IDLE_CLOSE = 500;
const MAX_AGE = 5_000;

/** Shared holding of `gc.lock` (Nix: `LocalStore::addTempRoot`); all uses within a window share one program start. */
export class GcLock {
  readonly #file: string;
  readonly #clock: Clock;
  #window: { readonly descriptor: number; readonly opened: number } | null = null;
  #opening: Promise<boolean> | null = null;
  #cancelClose: () => void = () => undefined;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /**
   * Runs `use` while no collector runs and none can start, and returns true; returns false without running it while a collector runs.
   * @throws EngineError `STORE_FLOCK_FAILED`, and the errors of `use`.
   */
  async whileNoCollector(use: () => void): Promise<boolean> {
    const old = this.#window;
    if (old !== null && this.#clock.now() - old.opened > MAX_AGE) this.#close();
    if (this.#window === null) {
      this.#opening ??= this.#open().finally(() => {
        this.#opening = null;
      });
      if (!(await this.#opening)) return false;
    }
    this.#cancelClose();
    use();
    this.#cancelClose = this.#clock.after(IDLE_CLOSE, () => this.#close());
    return true;
  }

  /**
   * Opens the lock for a collector's own use; close the descriptor to release it. `onWait` is called once if another process holds it.
   * @throws EngineError `STORE_FLOCK_FAILED`; the signal's reason.
   */
  async takeExclusive(onWait: () => void, signal: AbortSignal | null = null): Promise<number> {
    this.#close();
    const descriptor = openSync(this.#file, "a+", 0o600);
    try {
      if (!(await flock([descriptor], "exclusive", false, signal))) {
        onWait();
        await flock([descriptor], "exclusive", true, signal);
      }
      return descriptor;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  close(): void {
    this.#close();
  }

  async #open(): Promise<boolean> {
    const descriptor = openSync(this.#file, "a+", 0o600);
    let locked = false;
    try {
      locked = await flock([descriptor], "shared", false);
    } finally {
      if (!locked) closeSync(descriptor);
    }
    if (locked) this.#window = { descriptor, opened: this.#clock.now() };
    return locked;
  }

  #close(): void {
    this.#cancelClose();
    this.#cancelClose = () => undefined;
    if (this.#window !== null) closeSync(this.#window.descriptor);
    this.#window = null;
  }
}
