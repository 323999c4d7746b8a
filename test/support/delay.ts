// Wraps a transport so that every byte arrives later, as over a long link: for measuring what a round trip costs.
import type { Clock } from "../../src/engine/base/clock.ts";
import { messageOf } from "../../src/engine/base/errors.ts";
import { ByteQueue } from "../../src/engine/transports/byte-queue.ts";
import type { Transport, TransportOpener } from "../../src/engine/transports/transport.ts";
import { DelayLine, type LinkSpeed } from "./delay-line.ts";

/** Bytes on the way in one direction at which the writer waits: enough for 100 MB/s at 80 ms. */
const MAX_IN_FLIGHT = 8 * 1024 * 1024;

/** The same transport with `speed` in each direction. A round trip costs twice the delay. Closing is not delayed. */
export function delayed(inner: Transport, clock: Clock, speed: LinkSpeed): Transport {
  const outbound = new DelayLine(clock, speed);
  const inbound = new DelayLine(clock, speed);
  const incoming = new ByteQueue();
  let outboundBytes = 0;
  let writing: Promise<void> = Promise.resolve();
  let isGone = false;
  let waiting: (() => void)[] = [];

  const wakeWriters = (): void => {
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  const lose = (): void => {
    isGone = true;
    outbound.clear();
    wakeWriters();
  };
  void inner.closed.then(lose);

  const pump = async (): Promise<void> => {
    try {
      for await (const chunk of inner.input) {
        incoming.announce(chunk.length);
        inbound.send(chunk.length, () => incoming.push(chunk, true));
        await incoming.room(MAX_IN_FLIGHT);
      }
      inbound.send(0, () => incoming.end());
    } catch (error) {
      incoming.fail(error instanceof Error ? error : new Error(messageOf(error)));
    }
  };
  let isPumping = false;
  const input: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => {
      if (!isPumping) {
        isPumping = true;
        void pump();
      }
      return incoming[Symbol.asyncIterator]();
    },
  };
  const deliver = (bytes: Uint8Array): void => {
    writing = writing
      .then(() => inner.write(bytes))
      .catch(() => undefined)
      .finally(() => {
        outboundBytes -= bytes.length;
        wakeWriters();
      });
  };

  return {
    input,
    stderr: inner.stderr,
    stderrTail: () => inner.stderrTail(),
    closed: inner.closed,
    write: async (bytes) => {
      outboundBytes += bytes.length;
      outbound.send(bytes.length, () => deliver(bytes));
      while (outboundBytes >= MAX_IN_FLIGHT && !isGone) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      }
      // The inner transport knows why: a closed one refuses every write.
      if (isGone) await inner.write(bytes);
    },
    close: () => {
      inbound.clear();
      incoming.discard();
      inner.close();
      lose();
    },
  };
}

/** An opener whose transports are all {@link delayed}; opening itself costs one round trip more. */
export function delayedOpener(inner: TransportOpener, clock: Clock, speed: LinkSpeed): TransportOpener {
  return {
    name: inner.name,
    open: async (signal) => {
      await new Promise<void>((resolve) => {
        clock.after(2 * speed.delayMs, resolve);
      });
      return delayed(await inner.open(signal), clock, speed);
    },
    heard: () => inner.heard(),
    close: () => inner.close(),
  };
}
