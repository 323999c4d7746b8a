// Connections to nowhere: a test says when each is open, when opening fails, and when it breaks.
import type { EngineError } from "../../src/engine/base/errors.ts";
import type { Poolable } from "../../src/engine/stores/remote/pool.ts";

export class FakeConnection implements Poolable {
  broken = false;
  isClosed = false;
  /** What it was closed with. */
  reason: EngineError | null = null;

  close(reason?: EngineError): void {
    this.broken = true;
    this.isClosed = true;
    this.reason = reason ?? null;
  }
}

/** A connection being opened. */
export interface Opening {
  readonly use: string;
  readonly signal: AbortSignal | undefined;
  /** It is open now. */
  done(): FakeConnection;
  fails(error: Error): void;
}

/** What opens them, and the openings there have been, in order. An opening whose signal is aborted fails with its reason. */
export function createOpenings() {
  const openings: Opening[] = [];
  const open = (use: string, signal: AbortSignal | undefined): Promise<FakeConnection> => {
    const { promise, resolve, reject } = Promise.withResolvers<FakeConnection>();
    const done = (): FakeConnection => {
      const connection = new FakeConnection();
      resolve(connection);
      return connection;
    };
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    openings.push({ use, signal, done, fails: reject });
    return promise;
  };
  return { open, openings };
}

/** Lets everything go on that waits for nothing but itself. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
