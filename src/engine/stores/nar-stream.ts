// A NAR on its way between two stores: its pieces, and finally its SHA-256 if it was checked.

/**
 * A NAR in pieces. One that is checked on its way ends normally only with the right SHA-256, and returns it, so that nobody needs to
 * compute it again. An unchecked one returns nothing.
 */
export type NarStream = AsyncIterable<Uint8Array, unknown>;

/** Passes on a NAR and its return value; `see` receives each piece before it is used. */
export async function* observeNar(
  stream: NarStream,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, Uint8Array | null, undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  let isRunning = true;
  try {
    for (;;) {
      const step = await iterator.next();
      if (step.done === true) {
        isRunning = false;
        return hashOf(step.value);
      }
      see(step.value);
      yield step.value;
    }
  } catch (error) {
    isRunning = false;
    throw error;
  } finally {
    if (isRunning) await iterator.return?.();
  }
}

/** A NAR in memory. */
export interface WholeNar {
  readonly chunks: readonly Uint8Array[];
  /** The return value of the stream. */
  readonly sha256: Uint8Array | null;
}

function hashOf(end: unknown): Uint8Array | null {
  return end instanceof Uint8Array ? end : null;
}

/** Reads a NAR into memory. */
export async function readWhole(stream: NarStream): Promise<WholeNar> {
  const chunks: Uint8Array[] = [];
  const iterator = stream[Symbol.asyncIterator]();
  for (;;) {
    const step = await iterator.next();
    if (step.done === true) return { chunks, sha256: hashOf(step.value) };
    chunks.push(step.value);
  }
}

/** A NAR in memory as a stream again. */
export async function* streamOf({ chunks, sha256 }: WholeNar): AsyncGenerator<Uint8Array, unknown, undefined> {
  yield* chunks;
  return sha256;
}
