// A linked pair of transports inside this process: what one side writes the other reads. For in-process servers, tests and benchmarks.
import type { Clock } from "../../src/engine/base/clock.ts";
import { EngineError } from "../../src/engine/base/errors.ts";
import { ByteQueue } from "../../src/engine/transports/byte-queue.ts";
import type { CloseReason, Transport } from "../../src/engine/transports/transport.ts";
import { DelayLine, type LinkSpeed } from "./delay-line.ts";

/** Bytes written and not yet read at which a writer has to wait, unless told otherwise. */
const DEFAULT_HIGH_WATER = 1024 * 1024;

/** How a memory pair behaves. */
export interface MemoryPairOptions {
  /** Bytes on the way (unread or delayed) at which a writer waits. Default 1 MiB. */
  readonly highWater?: number;
  /** A slow link in both directions, with the clock that times it. Default: none. */
  readonly link?: { readonly clock: Clock; readonly speed: LinkSpeed };
}

class MemoryEnd implements Transport {
  readonly input: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array> = new ByteQueue();
  readonly closed: Promise<CloseReason>;
  readonly incoming = new ByteQueue();
  peer: MemoryEnd | null = null;
  readonly #highWater: number;
  readonly #line: DelayLine | null;
  #reason: CloseReason | null = null;
  #settle: (reason: CloseReason) => void = () => undefined;

  constructor(options: MemoryPairOptions) {
    this.#highWater = options.highWater ?? DEFAULT_HIGH_WATER;
    this.#line = options.link === undefined ? null : new DelayLine(options.link.clock, options.link.speed);
    this.input = this.incoming;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
    (this.stderr as ByteQueue).end();
  }

  write(bytes: Uint8Array): Promise<void> {
    const peer = this.peer;
    if (this.#reason !== null || peer === null) return rejected();
    if (this.#line === null) {
      peer.incoming.push(bytes);
    } else {
      // Bytes on the way count as unread: a long link holds no more than its window either.
      peer.incoming.announce(bytes.length);
      this.#line.send(bytes.length, () => peer.incoming.push(bytes, true));
    }
    return this.#room(peer);
  }

  stderrTail(): string {
    return "";
  }

  close(): void {
    if (this.#reason !== null) return;
    this.#finish({ type: "closedHere" });
    const peer = this.peer;
    if (peer === null) return;
    const leave = (): void => peer.lose();
    if (this.#line === null) leave();
    else this.#line.send(0, leave);
  }

  /** The other end has closed: what it sent before can still be read. */
  lose(): void {
    this.incoming.end();
    this.#finish({ type: "closedThere", exitCode: null, signal: null });
  }

  #finish(reason: CloseReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    if (reason.type === "closedHere") this.incoming.discard();
    // Nobody will read what this side still has to say; its writers must not wait for that.
    this.peer?.incoming.releaseWriters();
    this.#settle(reason);
  }

  async #room(peer: MemoryEnd): Promise<void> {
    await peer.incoming.room(this.#highWater);
    if (this.#reason !== null) await rejected();
  }
}

function rejected(): Promise<never> {
  return Promise.reject(
    new EngineError("transport", "TRANSPORT_CLOSED", "cannot write: the in-process connection is closed"),
  );
}

/**
 * Two transports, each the other's peer. Closing one ends the other's input after what was sent before, with the reason `closedThere`.
 * With a link the pair behaves like a connection of that one-way delay and rate.
 */
export function memoryPair(options: MemoryPairOptions = {}): readonly [Transport, Transport] {
  const left = new MemoryEnd(options);
  const right = new MemoryEnd(options);
  left.peer = right;
  right.peer = left;
  return [left, right];
}
