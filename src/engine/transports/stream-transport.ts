// A transport over Node streams: the common part of sockets, child processes and SSH channels.
import type { Readable, Writable } from "node:stream";
import { EngineError } from "../base/errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { CloseReason, Transport } from "./transport.ts";

/** Bytes of the side channel kept for messages. */
const STDERR_TAIL_BYTES = 4096;
/** Unread side-channel text beyond this is dropped, oldest first: it is drained even when nobody reads it, else it would block the peer. */
const STDERR_KEEP_BYTES = 1024 * 1024;

/** The streams of a transport and how to drop them. */
export interface StreamEnds {
  /** The peer's name in messages: `'mac'`, `nix-daemon`, a socket path. */
  readonly name: string;
  readonly input: Readable;
  readonly output: Writable;
  readonly stderr: Readable | null;
  /** Drops the connection at once. `close` or `fail` call it, at most once. */
  drop(): void;
}

/** The transport itself; the creator of the streams calls `settle` to report how they ended. */
export class StreamTransport implements Transport {
  readonly input: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array>;
  readonly closed: Promise<CloseReason>;
  readonly #ends: StreamEnds;
  readonly #stderrQueue = new ByteQueue(STDERR_KEEP_BYTES);
  #tail: Buffer = Buffer.alloc(0);
  #reason: CloseReason | null = null;
  #resolveClosed: (reason: CloseReason) => void = () => undefined;
  #wakeReader: (() => void) | null = null;
  #draining: {
    readonly promise: Promise<void>;
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
  } | null = null;
  #outputError: Error | null = null;

  constructor(ends: StreamEnds) {
    this.#ends = ends;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.input = this.#read();
    this.stderr = this.#stderrQueue;
    this.#drainStderr(ends.stderr);
    ends.input.on("error", () => this.#wake());
    ends.output.on("drain", () => {
      this.#draining?.resolve();
      this.#draining = null;
    });
    ends.output.on("error", (error: Error) => {
      this.#outputError = error;
      this.#rejectWaitingWriters();
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#reason !== null || this.#outputError !== null || !this.#ends.output.writable)
      return quiet(Promise.reject(this.#writeError()));
    if (this.#ends.output.write(bytes)) return Promise.resolve();
    this.#draining ??= deferred();
    return this.#draining.promise;
  }

  stderrTail(): string {
    return this.#tail.toString("utf8");
  }

  close(): void {
    if (this.#reason !== null) return;
    this.settle({ type: "closedHere" });
    this.#ends.drop();
  }

  /** Ends the transport with `error` and drops its streams. */
  fail(error: Error): void {
    if (this.#reason !== null) return;
    this.settle({ type: "failed", error });
    this.#ends.drop();
  }

  /** Reports how the streams ended; only the first call counts. Bytes that have already arrived can still be read, except after `closedHere`. */
  settle(reason: CloseReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    if (reason.type === "closedHere") this.#stderrQueue.end();
    this.#rejectWaitingWriters();
    this.#wake();
    this.#resolveClosed(reason);
  }

  async *#read(): AsyncGenerator<Uint8Array, void, void> {
    const stream = this.#ends.input;
    const wake = (): void => this.#wake();
    stream.on("readable", wake).on("end", wake).on("close", wake);
    for (;;) {
      if (this.#reason?.type === "closedHere") return;
      const chunk = stream.read() as Buffer | null;
      if (chunk !== null) {
        yield chunk;
        continue;
      }
      if (this.#reason?.type === "failed") throw this.#reason.error;
      if (stream.readableEnded || stream.destroyed) return;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = null;
    wake?.();
  }

  #drainStderr(stream: Readable | null): void {
    if (stream === null) {
      this.#stderrQueue.end();
      return;
    }
    stream.on("data", (chunk: Buffer) => {
      const joined = chunk.length >= STDERR_TAIL_BYTES ? chunk : Buffer.concat([this.#tail, chunk]);
      this.#tail = Buffer.from(joined.subarray(-STDERR_TAIL_BYTES));
      this.#stderrQueue.push(chunk);
    });
    const end = (): void => this.#stderrQueue.end();
    stream.on("end", end).on("close", end).on("error", end);
  }

  #rejectWaitingWriters(): void {
    const waiting = this.#draining;
    this.#draining = null;
    waiting?.reject(this.#writeError());
  }

  #writeError(): Error {
    const reason = this.#reason;
    if (reason?.type === "failed") return reason.error;
    const name = this.#ends.name;
    if (reason?.type === "closedHere") {
      return new EngineError(
        "transport",
        "TRANSPORT_CLOSED",
        `cannot write to ${name}: the connection was closed here`,
      );
    }
    return new EngineError(
      "transport",
      "TRANSPORT_CLOSED_BY_PEER",
      `cannot write to ${name}: the other side has closed the connection`,
      {
        cause: this.#outputError ?? undefined,
      },
    );
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  return { promise: quiet(promise), resolve, reject };
}

/** A writer that does not wait must not crash the process when its connection ends; one that waits still sees the error. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
