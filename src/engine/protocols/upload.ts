// Uploads: sends chunks of any size in frames of a suitable size (worker protocol 1.23), or raw, with back-pressure.
import { frameHeader } from "../formats/wire/framed.ts";
import type { Outlet } from "./outlet.ts";

/** Small chunks are gathered into frames of this size; bigger ones become their own frames. */
const GATHER_BYTES = 64 * 1024;
/** Maximum frame size: Nix reads a whole frame before it processes it, and does nothing else meanwhile. */
const FRAME_BYTES = 256 * 1024;

/** Gathers small chunks, of which NARs with many small files consist; big ones pass unchanged. */
export async function* gather(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    const isBig = chunk.length >= GATHER_BYTES / 2;
    // Gathered data is sent before a chunk that passes on its own.
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
 * Sends chunks as a framed stream. The end mark is always sent, even when the source throws or `stopped` becomes true: the server discards
 * everything up to it and answers with an error, and the connection stays in step.
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

/** Sends chunks unchanged. If the source throws, the connection cannot stay in step. */
export async function sendRaw(outlet: Outlet, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  for await (const chunk of gather(chunks)) {
    outlet.push(chunk);
    await outlet.ready();
  }
}
