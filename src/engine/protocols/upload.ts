// Uploads: chunks of any size into frames of a reasonable one (worker protocol 1.23), or raw, with back-pressure.
import { frameHeader } from "../formats/wire/framed.ts";
import type { Outlet } from "./outlet.ts";

/** Small chunks are gathered into frames of this size; bigger ones are frames of their own. */
const GATHER_BYTES = 64 * 1024;
/** At most this much in a frame: Nix reads a frame whole before it works on it, and nothing else happens meanwhile. */
const FRAME_BYTES = 256 * 1024;

/** Gathers small chunks, which NARs of many small files consist of; big ones pass as they are. */
export async function* gather(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    const isBig = chunk.length >= GATHER_BYTES / 2;
    // What was gathered goes out before a chunk that passes by itself.
    if (size > 0 && (isBig || size + chunk.length > GATHER_BYTES)) {
      yield Buffer.concat(parts);
      parts = [];
      size = 0;
    }
    if (isBig) {
      yield chunk;
    } else {
      parts.push(chunk);
      size += chunk.length;
    }
  }
  if (size > 0) yield Buffer.concat(parts);
}

/**
 * Sends chunks as a framed stream. The end mark is sent in any case, also when the source throws or `stopped` becomes true: the server
 * discards what comes up to it and answers with an error, and the connection stays in step.
 */
export async function sendFramed(
  outlet: Outlet,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  stopped: () => boolean,
): Promise<void> {
  try {
    for await (const chunk of gather(chunks)) {
      if (stopped()) break;
      for (let at = 0; at < chunk.length; at += FRAME_BYTES) {
        const frame = chunk.subarray(at, at + FRAME_BYTES);
        outlet.push(frameHeader(frame.length));
        outlet.push(frame);
      }
      await outlet.ready();
    }
  } finally {
    outlet.push(frameHeader(0));
  }
}

/** Sends chunks as they are. When the source throws there is no way to stay in step. */
export async function sendRaw(outlet: Outlet, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  for await (const chunk of gather(chunks)) {
    outlet.push(chunk);
    await outlet.ready();
  }
}
