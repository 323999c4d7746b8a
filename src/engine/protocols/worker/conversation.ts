// One worker connection below the operations: request, log during the daemon's work, answer; uploads in the form of the version.
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter, paddingOf } from "../../formats/wire/writer.ts";
import { type LogFrame, type LogListener, readStderr, tryReadStderr } from "../log-frame.ts";
import type { Outlet } from "../outlet.ts";
import type { Pipeline } from "../pipeline.ts";
import { connectionLost, RemoteError, unsupported } from "../remote-error.ts";
import { gather, sendFramed, sendRaw } from "../upload.ts";
import type { WorkerAgreement } from "./handshake.ts";
import { operationSince, WORKER_OPERATIONS, type WorkerOperation } from "./operations.ts";

/** An outgoing NAR or other contents; iterated once. */
export type Contents = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How long after a repeated error the connection may take to end, as the repetition announces. */
const DOUBLE_ERROR_GRACE_MS = 250;

/** Maximum number of frames per call of a listener. */
const BATCH = 512;

/** Maximum bytes per request when the daemon pulls an upload (1.21, 1.22). */
const MAX_PULL = 1024 * 1024;

/** One operation: its request, its answer, and the listener for the log in between. */
export interface Operation<T> {
  readonly operation: WorkerOperation;
  /** Adds the arguments to a writer that already holds the operation's number. */
  readonly write?: (writer: ByteWriter) => void;
  readonly read: (reader: ByteReader) => Promise<T>;
  readonly onLog?: LogListener | undefined;
  readonly upload?: { readonly contents: Contents; readonly framing: Framing };
}

/** `framed` since 1.23, `pulled` by the server in 1.21 and 1.22, `raw` before. */
type Framing = "framed" | "pulled" | "raw";

/** The framing of NAR uploads at a minor version. */
export function narFraming(minor: number): Framing {
  return minor >= 23 ? "framed" : minor >= 21 ? "pulled" : "raw";
}

/** Performs operations over a pipeline after the handshake. */
export class Conversation {
  readonly agreement: WorkerAgreement;
  readonly pipeline: Pipeline;
  #lastError: string | null = null;

  constructor(pipeline: Pipeline, agreement: WorkerAgreement) {
    this.pipeline = pipeline;
    this.agreement = agreement;
  }

  /**
   * Performs an operation. Rejects with RemoteError when the daemon refuses (the connection stays usable), with `PROTOCOL_UNSUPPORTED` when
   * the version lacks the operation (nothing is sent), otherwise with the error that broke the connection.
   */
  async perform<T>(operation: Operation<T>): Promise<T> {
    const refusal = this.refusalOf(operation.operation);
    if (refusal !== null) throw refusal;
    const writer = new ByteWriter().u64(WORKER_OPERATIONS[operation.operation]);
    operation.write?.(writer);
    const request = writer.finish();
    const { upload } = operation;
    if (upload === undefined) {
      const send = (outlet: Outlet): null => {
        outlet.push(request);
        return null;
      };
      return this.pipeline.call(operation.operation, send, async () => {
        await this.hear(operation.onLog, null);
        return operation.read(this.pipeline.reader);
      });
    }
    return this.#performUpload(operation, request, upload.contents, upload.framing);
  }

  /** Why the agreed version does not allow an operation, null when it does. */
  refusalOf(operation: WorkerOperation): Error | null {
    const since = operationSince(operation);
    if (this.agreement.minor >= since) return null;
    return unsupported(
      this.pipeline.peer,
      `'${operation}'`,
      `it needs worker protocol 1.${since}, and 1.${this.agreement.minor} was agreed on`,
      "Use a newer Nix there.",
    );
  }

  async #performUpload<T>(
    operation: Operation<T>,
    request: Uint8Array,
    contents: Contents,
    framing: Framing,
  ): Promise<T> {
    let answered = false;
    let failure: { readonly error: unknown } | null = null;
    const source = guarded(contents, (error) => {
      failure = { error };
    });
    const finished = Promise.withResolvers<void>();
    const puller = framing === "pulled" ? new Puller(source) : null;
    const send = async (outlet: Outlet): Promise<void> => {
      outlet.push(request);
      if (framing === "framed") return sendFramed(outlet, source, () => answered);
      // Nothing else may be sent while the server pulls.
      if (framing === "pulled") return finished.promise;
      await sendRaw(outlet, source);
      if (failure !== null) throw failure.error;
    };
    try {
      return await this.pipeline.call(operation.operation, send, async () => {
        try {
          await this.hear(operation.onLog, puller);
          return await operation.read(this.pipeline.reader);
        } finally {
          answered = true;
          finished.resolve();
        }
      });
    } catch (error) {
      // The error that broke the upload here explains the daemon's complaint about its end.
      throw failureOf(failure) ?? error;
    }
  }

  /** Reads the log up to LAST. @throws RemoteError */
  async hear(onLog: LogListener | undefined, puller: Puller | null): Promise<void> {
    const { pipeline } = this;
    const { reader } = pipeline;
    let batch: LogFrame[] = [];
    const deliver = (): void => {
      if (batch.length > 0) onLog?.(batch);
      batch = [];
    };
    for (let first = true; ; first = false) {
      const ready = tryReadStderr(reader);
      if (ready === null || batch.length >= BATCH) deliver();
      const message = ready ?? (await readStderr(reader, this.agreement.minor));
      switch (message.type) {
        case "last":
          deliver();
          this.#lastError = null;
          return;
        case "error":
          deliver();
          throw await this.#refused(message.report.message, first, new RemoteError(pipeline.peer, message.report));
        case "read":
          if (puller === null) throw reader.fail("WIRE_BAD_VALUE", "expected no request for data", "one");
          pipeline.outlet.push(await puller.pull(Math.min(message.max, MAX_PULL)));
          break;
        case "write":
          break;
        default:
          batch.push(message);
      }
    }
  }

  /**
   * A daemon that fails while reading arguments reports the error twice and ends the connection. The second report may be taken for the answer
   * to the next request; only the end that follows tells them apart.
   */
  async #refused(message: string, first: boolean, error: RemoteError): Promise<Error> {
    const repeated = first && message === this.#lastError && this.pipeline.reader.buffered === 0;
    this.#lastError = message;
    if (!repeated || (await this.pipeline.nextArrival(DOUBLE_ERROR_GRACE_MS)) !== "end") return error;
    return connectionLost(this.pipeline.peer, `the daemon ended it after an error: ${error.remoteMessage}`, "", error);
  }
}

function failureOf(failure: { readonly error: unknown } | null): unknown {
  return failure === null ? null : failure.error;
}

/** Passes chunks on; when the source throws, reports the error and ends. */
async function* guarded(
  contents: Contents,
  onError: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* contents;
  } catch (error) {
    onError(error);
  }
}

/** Answers the server's requests for the next bytes of an upload. */
class Puller {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = gather(source)[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `max`, as a padded string; empty at the end. */
  async pull(max: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) break;
      this.#rest = next.value;
    }
    const piece = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(piece.length);
    return new ByteWriter(16 + piece.length + paddingOf(piece.length)).bytes(piece).finish();
  }
}
