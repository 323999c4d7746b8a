// The worker protocol's server: the loop of a Nix daemon over any store (Nix: daemon.cc, processConnection).
import { EngineError, messageOf, withHint } from "../../base/errors.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import type { Transport } from "../../transports/transport.ts";
import type { StoreHandler } from "../handler.ts";
import { STDERR, writeError } from "../log-frame.ts";
import { ServerConnection, StreamBroken } from "../server-connection.ts";
import { WORKER_NEWEST_MINOR } from "../version.ts";
import { greetClient } from "./handshake.ts";
import { operationOf } from "./operations.ts";
import { type NarAnswer, SERVED, type Work } from "./server-operations.ts";
import { Session } from "./session.ts";

/** How a client is served. */
export interface WorkerServerOptions {
  /** Whether the client may add unsigned paths and name output paths (Nix: `trusted-users`). */
  readonly trusted: boolean;
  /** The Nix version this program reports; clients decide by it what they may request. */
  readonly nixVersion: string;
  /** Newest minor to agree to; 38 unless a test needs less. */
  readonly maxMinor?: number;
  /** The client's name for messages. Default `client`. */
  readonly peer?: string;
  /** Id of the first activity. Must differ between servers: Nix uses the process id shifted by 32 bits. */
  readonly firstActivity: bigint;
}

/**
 * Serves one client until it hangs up, which aborts the work done for it. Resolves then.
 * @throws EngineError when the client speaks another protocol or breaks this one; the transport is closed in any case.
 */
export async function serveWorker(
  transport: Transport,
  handler: StoreHandler,
  options: WorkerServerOptions,
): Promise<void> {
  const connection = new ServerConnection(transport, options.peer ?? "client");
  try {
    const greeting = { ...options, maxMinor: options.maxMinor ?? WORKER_NEWEST_MINOR };
    const minor = await greetClient(connection.reader, connection.outlet, greeting, connection.peer);
    const session = new Session(connection, handler, minor, options.trusted, options.firstActivity);
    while (!(await connection.reader.atEnd())) await serveOne(session);
  } catch (error) {
    // An error caused by the client's departure is not an error.
    if (!connection.signal.aborted) throw error;
  } finally {
    await connection.finish();
  }
}

async function serveOne(session: Session): Promise<void> {
  let work: Work;
  try {
    work = await readRequest(session);
  } catch (error) {
    // The arguments were not read to their end, so the client gets the error and is dropped.
    tellError(session, error);
    throw error;
  }
  const { call, end } = session.beginCall();
  let answer: Awaited<ReturnType<Work>>;
  try {
    answer = await work(call);
  } catch (error) {
    end();
    session.connection.signal.throwIfAborted();
    tellError(session, error);
    if (error instanceof StreamBroken) throw error.cause;
    return;
  }
  end();
  const writer = new ByteWriter().u64(STDERR.last);
  if (typeof answer === "function") answer(writer);
  session.connection.send(writer);
  if (typeof answer !== "function") await sendNar(session, answer);
}

async function readRequest(session: Session): Promise<Work> {
  const { reader } = session.connection;
  const code = await reader.readU64();
  const operation = operationOf(code);
  if (operation === undefined) {
    throw new EngineError("protocol", "PROTOCOL_UNSUPPORTED", `operation ${code} is not supported`);
  }
  return SERVED[operation](reader, session);
}

async function sendNar(session: Session, { nar }: NarAnswer): Promise<void> {
  await session.connection.sendContents(nar);
}

function tellError(session: Session, error: unknown): void {
  const message = withHint(messageOf(error), error instanceof EngineError ? error.hint : null, "\n");
  const writer = new ByteWriter();
  writeError(writer, { level: 0, message, traces: [] }, session.minor);
  session.connection.send(writer);
}
