// Connections of one kind to one store: who gets one, when another one is opened, and that a broken one is never lent again.
//
// Opening a connection costs a login; waiting for one that is busy costs time. Another one is opened when the time spent waiting since the
// last opening has reached twice the cost of that opening (the ski-rental rule), so that many short builds share few connections and long
// builds get one each. The first is opened at once.
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";

/** What the pool must know about a connection. */
export interface Poolable {
  /** Left mid-message, or closed: unusable. */
  readonly broken: boolean;
  /** Pending requests reject with `reason`. */
  close(reason?: EngineError): void;
}

/** A lent connection: exactly one of the two ends the loan. */
export interface Lease<C> {
  readonly connection: C;
  /** Returns it for the next holder. */
  release(): void;
  /** Closes it, which kills its work. */
  discard(): void;
}

export interface PoolOptions<C> {
  readonly open: (signal: AbortSignal) => Promise<C>;
  readonly max: number;
  readonly clock: Clock;
}

interface Waiter<C> {
  readonly since: number;
  readonly resolve: (lease: Lease<C>) => void;
  readonly reject: (error: unknown) => void;
}

/** A bounded set of connections, each used by one holder at a time. */
export class Pool<C extends Poolable> {
  readonly #options: PoolOptions<C>;
  readonly #idle: C[] = [];
  readonly #all = new Set<C>();
  readonly #waiters: Waiter<C>[] = [];
  readonly #closing = new AbortController();
  #opening = 0;
  #lastCostMs = 0;
  #waitedMs = 0;
  #alarm: (() => void) | null = null;

  constructor(options: PoolOptions<C>) {
    this.#options = options;
  }

  /** Waits for a connection. Rejects when opening one failed and none is left to wait for, or with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<Lease<C>> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason);
    const ready = this.#takeIdle();
    if (ready !== null) return Promise.resolve(this.#lease(ready));
    return new Promise<Lease<C>>((resolve, reject) => {
      const abort = (): void => {
        const index = this.#waiters.indexOf(waiter);
        if (index < 0) return;
        this.#waiters.splice(index, 1);
        reject(signal?.reason);
      };
      // A signal may outlive many waits.
      const served = (): void => signal?.removeEventListener("abort", abort);
      const waiter: Waiter<C> = {
        since: this.#options.clock.now(),
        resolve: (lease) => {
          served();
          resolve(lease);
        },
        reject: (error) => {
          served();
          reject(error);
        },
      };
      this.#waiters.push(waiter);
      signal?.addEventListener("abort", abort, { once: true });
      this.#consider();
    });
  }

  /** Opens up to `count` connections in advance and waits for them. */
  async warmUp(count: number): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const wanted = Math.min(count, this.#options.max) - this.#all.size - this.#opening;
    const opened: Promise<void>[] = [];
    for (let i = 0; i < wanted; i++) opened.push(this.#openOne());
    await Promise.all(opened);
  }

  /** Takes over a connection that was opened elsewhere. */
  adopt(connection: C): void {
    if (this.#closing.signal.aborted) {
      connection.close();
      return;
    }
    this.#all.add(connection);
    this.#hand(connection);
  }

  /** Closes unused connections. */
  dropIdle(): void {
    for (const connection of this.#idle.splice(0)) {
      connection.close();
      this.#all.delete(connection);
    }
  }

  /** Closes every connection, lent or not; waiting callers reject with `reason`. */
  close(reason: Error): void {
    this.#closing.abort(reason);
    this.#alarm?.();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason);
    for (const connection of this.#all) connection.close(reason instanceof EngineError ? reason : undefined);
    this.#all.clear();
    this.#idle.length = 0;
  }

  #takeIdle(): C | null {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return null;
      if (!connection.broken) return connection;
      this.#all.delete(connection);
    }
  }

  #lease(connection: C): Lease<C> {
    let ended = false;
    const end = (keep: boolean): void => {
      if (ended) return;
      ended = true;
      if (keep && !connection.broken && !this.#closing.signal.aborted) {
        this.#hand(connection);
        return;
      }
      connection.close();
      this.#all.delete(connection);
      this.#consider();
    };
    return { connection, release: () => end(true), discard: () => end(false) };
  }

  #hand(connection: C): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#idle.push(connection);
      return;
    }
    this.#waitedMs += this.#options.clock.now() - waiter.since;
    waiter.resolve(this.#lease(connection));
    this.#consider();
  }

  /** Opens another connection if waiting has cost more than opening would, or checks again at that time. */
  #consider(): void {
    this.#alarm?.();
    this.#alarm = null;
    if (this.#waiters.length <= this.#opening || this.#closing.signal.aborted) return;
    const count = this.#all.size + this.#opening;
    if (count >= this.#options.max) return;
    const now = this.#options.clock.now();
    const waited = this.#waiters.reduce((sum, waiter) => sum + now - waiter.since, this.#waitedMs);
    const missing = 2 * this.#lastCostMs - waited;
    if (count === 0 || missing <= 0) {
      this.#openOne().catch(() => undefined);
      return;
    }
    this.#alarm = this.#options.clock.after(missing / this.#waiters.length + 1, () => this.#consider());
  }

  async #openOne(): Promise<void> {
    this.#opening++;
    this.#waitedMs = 0;
    const startedAt = this.#options.clock.now();
    try {
      const connection = await this.#options.open(this.#closing.signal);
      this.#opening--;
      this.#lastCostMs = this.#options.clock.now() - startedAt;
      if (this.#closing.signal.aborted) {
        connection.close();
        return;
      }
      this.#all.add(connection);
      this.#hand(connection);
    } catch (error) {
      this.#opening--;
      // Other connections will serve the waiting callers; without any there is nothing left to wait for.
      if (this.#all.size + this.#opening === 0) for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
      throw error;
    }
  }
}
