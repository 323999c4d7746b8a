// The connections to one store, by use: one shared for queries and small paths, some for transfers, one per running build.
import type { Clock } from "../../base/clock.ts";
import type { EngineError } from "../../base/errors.ts";
import { type Lease, Pool, type Poolable } from "./pool.ts";

/** How many transfers of each size run at once. */
const SMALL_TRANSFERS = 2;
const LARGE_TRANSFERS = 2;

export interface ConnectionsOptions<C> {
  /** For messages. */
  readonly peer: string;
  readonly clock: Clock;
  readonly maxBuilds: number;
  /** Opens a connection, ready for use. */
  readonly open: (use: "build" | "query", signal: AbortSignal | undefined) => Promise<C>;
  /** Prepares a connection that becomes the shared one. */
  readonly prepareShared?: (connection: C) => Promise<void>;
  /** Called after everything is closed. */
  readonly onClose: () => void;
}

/** Opens connections and lends them. */
export class Connections<C extends Poolable> {
  readonly #options: ConnectionsOptions<C>;
  readonly builds: Pool<C>;
  readonly #small: Pool<C>;
  readonly #large: Pool<C>;
  #shared: Promise<C> | null = null;
  /** The shared connection as soon as it is open, prepared or not. */
  #open: C | null = null;
  #closed: Error | null = null;

  readonly #closing = new AbortController();

  constructor(options: ConnectionsOptions<C>) {
    this.#options = options;
    const { clock, open } = options;
    const transfer = (signal: AbortSignal): Promise<C> => open("query", signal);
    this.builds = new Pool({ open: (signal) => open("build", signal), max: Math.max(1, options.maxBuilds), clock });
    this.#small = new Pool({ open: transfer, max: SMALL_TRANSFERS, clock });
    this.#large = new Pool({ open: transfer, max: LARGE_TRANSFERS, clock });
  }

  /** The connection for queries: requests of all callers are sent back to back on it. A caller never closes it. */
  async shared(signal?: AbortSignal): Promise<C> {
    if (this.#closed !== null) throw this.#closed;
    const current = this.#shared;
    if (current !== null) {
      const connection = await withSignal(current, signal);
      if (!connection.broken) return connection;
      if (this.#shared === current) this.#shared = null;
      return this.shared(signal);
    }
    // Others may come to wait for it, so one caller's signal must not abort it; closing does.
    const opening = this.#options.open("query", this.#closing.signal).then((connection) => this.#prepare(connection));
    this.#shared = opening;
    opening.catch(() => {
      if (this.#shared === opening) this.#shared = null;
    });
    return withSignal(opening, signal);
  }

  /**
   * Queries the shared connection, and a new one if that turns out to be lost, since a repeated query does no harm.
   * @throws the errors of `question`, or of opening
   */
  async ask<T>(question: (connection: C) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const connection = await this.shared(signal);
    try {
      return await withSignal(question(connection), signal);
    } catch (error) {
      if (signal?.aborted === true || !connection.broken) throw error;
      return withSignal(question(await this.shared(signal)), signal);
    }
  }

  /** A connection for one transfer. */
  transfer(large: boolean, signal?: AbortSignal): Promise<Lease<C>> {
    return (large ? this.#large : this.#small).acquire(signal);
  }

  /** An unused connection, so without temporary roots; the caller must close it. */
  fresh(signal?: AbortSignal): Promise<C> {
    return this.#options.open("query", signal);
  }

  /** Drops unused connections, and with them the temporary roots they hold. */
  async dropUnused(): Promise<void> {
    for (const pool of [this.builds, this.#small, this.#large]) pool.dropIdle();
    this.#dropShared();
  }

  async #prepare(connection: C): Promise<C> {
    if (this.#closed !== null) {
      connection.close();
      throw this.#closed;
    }
    this.#open = connection;
    try {
      await this.#options.prepareShared?.(connection);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** A connection that is still being opened closes itself. */
  #dropShared(reason?: EngineError): void {
    this.#shared = null;
    this.#open?.close(reason);
    this.#open = null;
  }

  /** Operations in progress reject with `given`. */
  async close(given?: EngineError): Promise<void> {
    const reason = given ?? new Error(`${this.#options.peer} was closed`);
    this.#closed = reason;
    // Does not wait for connections still being opened.
    this.#closing.abort(reason);
    for (const pool of [this.builds, this.#small, this.#large]) pool.close(reason);
    this.#dropShared(given);
    this.#options.onClose();
  }
}

/**
 * Runs `work` on a leased connection. It returns to the pool when the work succeeded, or failed while `mayKeep` says that the connection is
 * still usable; otherwise, and when the signal is aborted, it is closed, which stops its work.
 */
export async function withLease<C extends Poolable, T>(
  lease: Lease<C>,
  signal: AbortSignal | undefined,
  mayKeep: (error: unknown) => boolean,
  work: (connection: C) => Promise<T>,
): Promise<T> {
  const abort = (): void => lease.discard();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted();
    const value = await work(lease.connection);
    lease.release();
    return value;
  } catch (error) {
    if (mayKeep(error)) lease.release();
    else lease.discard();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** The chunks of a stream on a leased connection, which returns to the pool at the stream's end and is closed when the stream is broken off. */
export async function* streamWithLease<C extends Poolable>(
  lease: Lease<C>,
  signal: AbortSignal | undefined,
  stream: (connection: C) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const abort = (): void => lease.discard();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    yield* stream(lease.connection);
    lease.release();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    lease.discard();
    signal?.removeEventListener("abort", abort);
  }
}

/** Waits for a promise that continues without us. */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  // Nobody may be left to handle its result.
  promise.catch(() => undefined);
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Reads a stream into memory; for small paths only. The chunks are copies. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk));
  return chunks;
}
