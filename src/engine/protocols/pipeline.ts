// The client side's queue of requests on one connection: requests may be sent back to back, answers are read in order.
import type { Clock } from "../base/clock.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import { ByteReader } from "../formats/wire/reader.ts";
import type { CloseReason, Transport } from "../transports/transport.ts";
import { Inlet } from "./inlet.ts";
import { Outlet } from "./outlet.ts";
import { connectionLost, isRemoteError } from "./remote-error.ts";

/** How long to wait for a transport's end, and with it the last of its stderr, for an error message about it. */
const END_GRACE_MS = 300;

/** Sends one request; may take long for uploads. The next request is sent after it resolves. */
export type SendRequest = (outlet: Outlet) => Promise<void> | null;

interface Call {
  readonly name: string;
  readonly read: () => Promise<void>;
  readonly reject: (error: unknown) => void;
}

/** One connection to a peer, with its queue. Once broken, it stays broken. */
export class Pipeline {
  readonly peer: string;
  readonly reader: ByteReader;
  readonly outlet: Outlet;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly #inlet: Inlet;
  readonly #calls: Call[] = [];
  #sending: Promise<void> | null = null;
  #reading = false;
  #broken: EngineError | null = null;
  #breaking = false;
  #watching = false;
  #arrival: (() => void) | null = null;

  constructor(transport: Transport, peer: string, clock: Clock) {
    this.peer = peer;
    this.transport = transport;
    this.clock = clock;
    this.#inlet = new Inlet(transport, () => this.#activity());
    this.reader = new ByteReader(this.#inlet, peer);
    this.outlet = new Outlet(transport, (error) => this.#writeFailed(error));
  }

  /** Unusable: closed, left in the middle of a message, or ended by the peer. */
  get broken(): boolean {
    return this.#broken !== null || this.#breaking;
  }

  /** Requests whose answers have not been read. */
  get pending(): number {
    return this.#calls.length;
  }

  /** Drops the connection; all pending requests reject, with `reason` if given. */
  close(reason?: EngineError): void {
    const during = this.#calls.length === 0 ? "" : ` while '${this.#current()}' was under way`;
    this.#refuse(
      reason ??
        new EngineError("transport", "PROTOCOL_CLOSED", `${this.peer}: the connection was closed here${during}`),
    );
    this.transport.close();
  }

  /**
   * Sends a request and reads its answer with `read`, which runs after all earlier answers have been read. Rejects with the error of `read`;
   * any error except a RemoteError breaks the connection.
   */
  call<T>(name: string, send: SendRequest, read: () => Promise<T>): Promise<T> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise<T>((resolve, reject) => {
      const readAnswer = async (): Promise<void> => resolve(await read());
      this.#calls.push({ name, read: readAnswer, reject });
      this.#send(send);
      if (!this.#reading) void this.#readAnswers();
    });
  }

  /** Breaks the connection because of an error, and adds how the peer ended if that is the reason. */
  async breakWith(error: unknown): Promise<EngineError> {
    if (this.#broken !== null) return this.#broken;
    this.#breaking = true;
    const reason = await this.explain(error);
    this.#refuse(reason);
    this.transport.close();
    return this.#broken ?? reason;
  }

  /** Turns the failure of a read or write into an error that reports how the peer ended. */
  async explain(error: unknown): Promise<EngineError> {
    const isEnd = !(error instanceof EngineError) || error.code === "WIRE_TRUNCATED";
    if (!isEnd) return error;
    const reason = await this.#ending();
    const detail = reason === null ? messageOf(error) : describeEnd(reason, messageOf(error));
    const during = `${detail} during '${this.#current()}'`;
    return connectionLost(this.peer, during, this.transport.stderrTail(), error, reason);
  }

  /** Waits until the peer has sent more than the reader has consumed, or has ended, or `timeoutMs` have passed. */
  async nextArrival(timeoutMs: number): Promise<"more" | "end" | "nothing"> {
    const state = (): "more" | "end" | null => (this.#inlet.queued > 0 ? "more" : this.#inlet.ended ? "end" : null);
    const settled = state();
    if (settled !== null) return settled;
    await new Promise<void>((resolve) => {
      const cancel = this.clock.after(timeoutMs, resolve);
      this.#arrival = () => {
        cancel();
        resolve();
      };
    });
    this.#arrival = null;
    return state() ?? "nothing";
  }

  #current(): string {
    return this.#calls[0]?.name ?? "handshake";
  }

  #send(send: SendRequest): void {
    if (this.#sending !== null) {
      const turn = this.#sending.then(() => (this.broken ? undefined : (send(this.outlet) ?? undefined)));
      this.#holdBack(turn);
      return;
    }
    const sent = send(this.outlet);
    if (sent !== null) this.#holdBack(sent);
  }

  /** Later requests wait until this one has been sent. */
  #holdBack(sent: Promise<void>): void {
    const settled = sent.then(
      () => undefined,
      (error: unknown) => this.#sendFailed(error),
    );
    const turn: Promise<void> = settled.then(() => {
      if (this.#sending === turn) this.#sending = null;
    });
    this.#sending = turn;
  }

  /** A request could not be sent completely, so the peer would take the next one for its rest. */
  async #sendFailed(error: unknown): Promise<void> {
    if (this.outlet.failed) return;
    await this.breakWith(error);
  }

  /**
   * The peer accepts no more bytes. What it sent before, such as an error, is more informative, so reading continues for a while:
   * it ends when the peer is gone.
   */
  #writeFailed(error: unknown): void {
    this.#breaking = true;
    this.clock.after(END_GRACE_MS, () => {
      if (this.#broken !== null) return;
      this.#refuse(connectionLost(this.peer, messageOf(error), this.transport.stderrTail(), error));
      this.transport.close();
    });
  }

  async #readAnswers(): Promise<void> {
    this.#reading = true;
    for (let call = this.#calls[0]; call !== undefined; call = this.#calls[0]) {
      try {
        await call.read();
        this.#calls.shift();
      } catch (error) {
        if (isRemoteError(error)) {
          this.#calls.shift();
          call.reject(error);
        } else {
          await this.breakWith(error);
        }
      }
    }
    this.#reading = false;
    this.#activity();
  }

  #refuse(error: EngineError): void {
    this.#broken ??= error;
    for (const call of this.#calls.splice(0)) call.reject(this.#broken);
    this.#arrival?.();
  }

  /** Something has arrived: with no request pending it can only be the end, or bytes that are out of step. */
  #activity(): void {
    this.#arrival?.();
    const idle = this.#calls.length === 0 && !this.#reading && this.#watching;
    if (!idle || this.broken) return;
    if (this.#inlet.ended) {
      void this.breakWith(new Error("the peer ended the connection"));
    } else if (this.#inlet.queued + this.reader.buffered > 0) {
      this.#refuse(connectionLost(this.peer, "the peer sent bytes nobody asked for", this.transport.stderrTail()));
      this.transport.close();
    }
  }

  /** From now on, after the handshake, bytes that answer no request break the connection. */
  watch(): void {
    this.#watching = true;
    this.#inlet.start();
    this.#activity();
  }

  async #ending(): Promise<CloseReason | null> {
    let cancel = (): void => undefined;
    const timeout = new Promise<null>((resolve) => {
      cancel = this.clock.after(END_GRACE_MS, () => resolve(null));
    });
    const reason = await Promise.race([this.transport.closed, timeout]);
    cancel();
    return reason;
  }
}

function describeEnd(reason: CloseReason, fallback: string): string {
  switch (reason.type) {
    case "closedHere":
      return "it was closed on this side";
    case "failed":
      return reason.error.message;
    case "closedThere":
      if (reason.signal !== null) return `the remote program was killed by ${reason.signal}`;
      if (reason.exitCode !== null) return `the remote program ended with exit status ${reason.exitCode}`;
      return fallback === "" ? "the peer ended it" : "the peer ended the connection";
  }
}
