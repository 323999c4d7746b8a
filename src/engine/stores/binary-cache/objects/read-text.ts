// Reads a small object into memory, up to a maximum size.
import { EngineError } from "../../../base/errors.ts";

/** The error for an object of more than `maxBytes`; `what` names it. */
export function tooLarge(what: string, maxBytes: number): EngineError {
  return new EngineError(
    "store",
    "CACHE_OBJECT_TOO_LARGE",
    `'${what}': expected at most ${maxBytes} bytes, found more`,
  );
}

/** The bytes of a stream. Throws `CACHE_OBJECT_TOO_LARGE` beyond `maxBytes`; `what` names it. */
export async function readBytes(stream: AsyncIterable<Uint8Array>, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(what, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
