// The server's end of a connection: notices that the client has hung up, passes streams to handlers, and sends in order.
import { EngineError, messageOf } from "../base/errors.ts";
import { ByteReader } from "../formats/wire/reader.ts";
import type { ByteWriter } from "../formats/wire/writer.ts";
import type { Transport } from "../transports/transport.ts";
import { Inlet } from "./inlet.ts";
import { Outlet } from "./outlet.ts";
import { gather } from "./upload.ts";

/** Maximum unsent data for a client that does not read. */
const MAX_UNSENT_BYTES = 256 * 1024 * 1024;

/** A connection to one client. */
export class ServerConnection {
  readonly peer: string;
  readonly reader: ByteReader;
  readonly outlet: Outlet;
  /** Aborted when the client has hung up. */
  readonly signal: AbortSignal;
  readonly #hangUp = new AbortController();
  readonly #transport: Transport;

  constructor(transport: Transport, peer: string) {
    this.peer = peer;
    this.#transport = transport;
    this.signal = this.#hangUp.signal;
    // A client that half-closes counts as gone, as for Nix over pipes: no client of either protocol half-closes and waits.
    const inlet: Inlet = new Inlet(transport, () => {
      if (inlet.ended) this.#abort();
    });
    this.reader = new ByteReader(inlet, peer);
    this.outlet = new Outlet(transport, () => this.#abort());
    void transport.closed.then(() => this.#abort());
  }

  /** Sends a writer's contents. A client that stops reading while a build keeps logging counts as gone. */
  send(writer: ByteWriter): void {
    this.outlet.push(writer.finish());
    if (this.outlet.unsent <= MAX_UNSENT_BYTES) return;
    this.#abort();
    this.#transport.close();
  }

  /** Sends contents unchanged. */
  async sendContents(contents: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of gather(contents)) {
      this.outlet.push(chunk);
      await this.outlet.ready();
    }
  }

  /** Drops the connection after the queued data has been sent, if the client still accepts it. */
  async finish(): Promise<void> {
    await this.outlet.ready().catch(() => undefined);
    this.#transport.close();
  }

  #abort(): void {
    if (this.signal.aborted) return;
    this.#hangUp.abort(new EngineError("transport", "PROTOCOL_CLIENT_GONE", `${this.peer}: the client has hung up`));
  }
}

/**
 * Lets a handler read a stream that is part of a longer one, then reads what the handler left, so that the connection stays in step
 * regardless of the handler. Rejects with the handler's error, or with the stream's when that broke.
 */
export async function withStream<T>(
  chunks: AsyncIterator<Uint8Array, unknown, undefined>,
  use: (stream: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  let broken: { readonly error: unknown } | null = null;
  const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
    try {
      const result = await chunks.next();
      return result.done === true ? { done: true, value: undefined } : result;
    } catch (error) {
      broken = { error };
      throw error;
    }
  };
  // Without `return`, the handler may stop reading without ending the underlying stream.
  const stream: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next }) };
  const rest = async (): Promise<void> => {
    while (broken === null && (await next()).done !== true);
    if (broken !== null) throw new StreamBroken(broken);
  };
  let result: T;
  try {
    result = await use(stream);
  } catch (error) {
    await rest();
    throw error;
  }
  await rest();
  return result;
}

/** The stream of an upload broke, so the connection is out of step, even if the handler succeeded. */
export class StreamBroken extends Error {
  constructor(broken: { readonly error: unknown }) {
    super(messageOf(broken.error), { cause: broken.error });
    this.name = "StreamBroken";
  }
}
