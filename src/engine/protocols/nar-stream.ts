// A NAR read from a connection: the answer of a queued request, consumed by whoever iterates it.
import { copyNar } from "../formats/nar/read.ts";
import type { Pipeline, SendRequest } from "./pipeline.ts";

/**
 * Asks for a NAR at once and gives its chunks when iterated. `begin` reads what comes before it, and may refuse the NAR with an
 * error of its own before it breaks the connection by throwing. Until the NAR has been consumed no later
 * answer is read, so several are to be iterated in the order they were asked for, each to its end; breaking one off drops the connection.
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
  // Whoever iterates hears of it; a stream that is never iterated because its connection broke is nobody's failure.
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
        // Not the generator's own: that does nothing when iteration never began.
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
