// Makes a transport opener from a function that opens one transport: tracks what is open, so that it can all be ended together.
import { EngineError } from "../base/errors.ts";
import type { Transport, TransportOpener } from "./transport.ts";

export interface OpenerParts {
  readonly name: string;
  /** Opens one transport; must stop when the signal aborts. */
  readonly openOne: (signal: AbortSignal) => Promise<Transport>;
  /** As {@link TransportOpener.heard}, which returns null without it. */
  readonly heard?: () => number | null;
  /** Called once when the opener is closed, after its transports. */
  readonly onClose?: () => void;
}

/** The opener. After `close`, opening throws TRANSPORT_CLOSED. */
export function makeOpener(parts: OpenerParts): TransportOpener {
  const transports = new Set<Transport>();
  const closing = new AbortController();
  return {
    name: parts.name,
    open: async (signal) => {
      // A separate signal for each opening, so that listeners do not pile up on the shared one.
      const both = AbortSignal.any(signal === undefined ? [closing.signal] : [signal, closing.signal]);
      both.throwIfAborted();
      const transport = await parts.openOne(both);
      if (both.aborted) {
        transport.close();
        both.throwIfAborted();
      }
      transports.add(transport);
      void transport.closed.then(() => transports.delete(transport));
      return transport;
    },
    heard: () => parts.heard?.() ?? null,
    close: () => {
      if (closing.signal.aborted) return;
      closing.abort(
        new EngineError("transport", "TRANSPORT_CLOSED", `${parts.name}: no more connections, it was closed here`),
      );
      for (const transport of transports) transport.close();
      parts.onClose?.();
    },
  };
}

/**
 * The value of `promise`, or the signal's reason as soon as it aborts; a value that arrives later goes to `discard`.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal, discard: (late: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let decided = false;
    const onAbort = (): void => {
      if (decided) return;
      decided = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener("abort", onAbort);
        if (decided) {
          discard(value);
          return;
        }
        decided = true;
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        if (decided) return;
        decided = true;
        reject(error);
      },
    );
  });
}
