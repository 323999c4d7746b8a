// The server's side of uploads: contents that follow a request framed, pulled by the server, or raw, depending on the version.
import { copyNar } from "../../formats/nar/read.ts";
import { readFramed } from "../../formats/wire/framed.ts";
import { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import type { ServedCall } from "../handler.ts";
import { MAX_ITEMS } from "../limits.ts";
import { STDERR } from "../log-frame.ts";
import { StreamBroken, withStream } from "../server-connection.ts";
import { readPathInfo } from "../values/path-info.ts";
import type { NarRequest } from "./codec.ts";
import { narFraming } from "./conversation.ts";
import type { Session } from "./session.ts";

/** How much to pull at once from clients of 1.21 and 1.22. */
const PULL_BYTES = 65536;

/** Passes a framed stream to `use` and reads it to its end mark. */
export function receiveFramed<T>(
  session: Session,
  use: (contents: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  return withStream(readFramed(session.connection.reader), use);
}

/** Adds the path whose NAR comes next. */
export function receiveNar(session: Session, request: NarRequest, call: ServedCall): Promise<void> {
  const add = (nar: AsyncIterable<Uint8Array>): Promise<void> => session.handler.addToStoreNar(request, nar, call);
  switch (narFraming(session.minor)) {
    case "framed":
      return receiveFramed(session, add);
    case "raw":
      return withStream(copyNar(session.connection.reader), add);
    case "pulled": {
      const pulled = new ByteReader(pull(session), session.connection.peer);
      return inStep(withStream(copyNar(pulled), add));
    }
  }
}

async function* pull(session: Session): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    session.connection.send(new ByteWriter(16).u64(STDERR.read).u64(PULL_BYTES));
    const bytes = await session.connection.reader.readBytes(PULL_BYTES, "the next part of a NAR");
    if (bytes.length === 0) return;
    yield bytes;
  }
}

/** Adds the paths of one AddMultipleToStore, one after the other. */
export function receiveMany(
  session: Session,
  options: { readonly repair: boolean; readonly checkSignatures: boolean },
  call: ServedCall,
): Promise<void> {
  return receiveFramed(session, async (contents) => {
    const reader = new ByteReader(contents, session.connection.peer);
    const count = await reader.readNumber(MAX_ITEMS, "the count of paths");
    for (let index = 0; index < count; index++) {
      const info = await readPathInfo(reader);
      const request = { info: session.trusted ? info : { ...info, ultimate: false }, ...options };
      await inStep(withStream(copyNar(reader), (nar) => session.handler.addToStoreNar(request, nar, call)));
    }
  });
}

/** A malformed NAR inside a stream with its own end leaves the connection in step, so it is an ordinary error. */
async function inStep<T>(received: Promise<T>): Promise<T> {
  try {
    return await received;
  } catch (error) {
    throw error instanceof StreamBroken ? error.cause : error;
  }
}
