// A NAR read from a connection: the answer to a queued request, consumed by iterating it.
import { copyNar } from "../formats/nar/read.ts";
import type { Pipeline, SendRequest } from "./pipeline.ts";

/**
 * Requests a NAR at once and yields its chunks when iterated. `begin` reads what precedes the NAR, and may refuse the NAR with a specific
 * error before it breaks the connection by throwing. No later answer is read until the NAR has been consumed,
 * so iterate several in the order of the requests, each to its end; breaking one off drops the connection.
 */
export function requestNar(
  pipeline: Pipeline,
  name: string,
  send: SendRequest,
  begin: (refuse: (error: unknown) => void) => Promise<void>,
): AsyncIterable<Uint8Array> {
  const turn = Promise.withResolvers<void>();
  const consumed = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    await begin(turn.reject);
    turn.resolve();
    await consumed.promise;
  };
  const answered = pipeline.call(name, send, read);
  answered.catch((error: unknown) => turn.reject(error));
  // Iterating throws the error; a stream that is never iterated because its connection broke must not count as unhandled.
  turn.promise.catch(() => undefined);
  return {
    [Symbol.asyncIterator]: () => {
      let complete = false;
      const chunks = stream(pipeline, turn.promise, () => {
        complete = true;
        consumed.resolve();
      });
      return {
        next: () => chunks.next(),
        // Not the generator's own `return`: that does nothing when iteration never began.
        return: async () => {
          if (!complete) pipeline.close();
          consumed.resolve();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

async function* stream(
  pipeline: Pipeline,
  turn: Promise<void>,
  complete: () => void,
): AsyncGenerator<Uint8Array, undefined, undefined> {
  await turn;
  try {
    yield* copyNar(pipeline.reader);
  } catch (error) {
    throw await pipeline.breakWith(error);
  }
  complete();
  return undefined;
}
