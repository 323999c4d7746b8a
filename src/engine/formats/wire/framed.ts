// Framed streams: frames of a u64 length and as many raw bytes, ended by a frame of length 0 (worker protocol 1.23).
import type { ByteReader } from "./reader.ts";

/** Longest frame accepted; Nix itself writes frames of 32 KiB, or of the size of a single write. */
export const MAX_FRAME_LENGTH = 2 ** 40;

/** The 8 bytes before a frame of `length` bytes. */
export function frameHeader(length: number): Uint8Array {
  const header = Buffer.alloc(8);
  header.writeBigUInt64LE(BigInt(length));
  return header;
}

/** The contents of one framed stream; also consumes its end mark. Breaking off makes the reader unusable. */
export async function* readFramed(reader: ByteReader): AsyncGenerator<Uint8Array, void, undefined> {
  let finished = false;
  try {
    for (;;) {
      const length = await reader.readNumber(MAX_FRAME_LENGTH, "the length of a frame");
      if (length === 0) break;
      yield* reader.readExactStream(length, "a frame");
    }
    finished = true;
  } finally {
    if (!finished) reader.markUnusable("a framed stream was not read to its end");
  }
}
