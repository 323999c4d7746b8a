// Ways to cut a byte sequence into chunks, so that decoders meet every border.

/** A stream of these chunks. */
export async function* streamOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

/** The bytes one by one, with empty chunks between. */
export function singleBytes(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, index) => [bytes.subarray(index, index + 1), new Uint8Array(0)]).flat();
}

/** The bytes whole, one by one, and in two pieces cut at every offset. */
export function* everySplit(bytes: Uint8Array): Generator<Uint8Array[], void, undefined> {
  yield [bytes];
  yield singleBytes(bytes);
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
}

/** Everything a stream yields, joined. */
export async function gather(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}
