// Reads NARs from streams: as events, or as the raw chunks up to the end of the archive.
import { EngineError } from "../../base/errors.ts";
import type { ByteReader } from "../wire/reader.ts";
import type { NarEvent } from "./event.ts";
import { NarParser } from "./parser.ts";

/** Largest piece of a stream that is parsed at once. */
const MAX_PIECE = 16 * 1024 * 1024;

/**
 * The events of an archive that makes up the whole of `source`, one batch per chunk, so that many small files cost one await per chunk.
 * Contents are views into the chunks. Throws `NAR_MALFORMED`, `NAR_TRUNCATED`, and `NAR_TRAILING` for bytes after the end.
 */
export async function* parseNar(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<readonly NarEvent[], void, undefined> {
  let batch: NarEvent[] = [];
  const parser = new NarParser((event) => batch.push(event));
  for await (const chunk of source) {
    if (parser.push(chunk) < chunk.length) {
      throw new EngineError(
        "format",
        "NAR_TRAILING",
        "NAR: expected the end of the stream, found bytes behind the archive",
      );
    }
    if (batch.length > 0) {
      yield batch;
      batch = [];
    }
  }
  parser.finish();
}

/**
 * The bytes of one archive in a longer stream, checked as they arrive. Each piece is passed on once it has been found well-formed.
 * When the archive is malformed or the caller breaks off, the reader becomes unusable: where the archive ends is then unknown.
 */
export async function* copyNar(reader: ByteReader): AsyncGenerator<Uint8Array, void, undefined> {
  yield* pieces(reader, new NarParser(null));
}

/** The events of one archive in a longer stream, one batch per piece; otherwise like {@link copyNar}. */
export async function* readNar(reader: ByteReader): AsyncGenerator<readonly NarEvent[], void, undefined> {
  let batch: NarEvent[] = [];
  const parser = new NarParser((event) => batch.push(event));
  for await (const _ of pieces(reader, parser)) {
    if (batch.length === 0) continue;
    yield batch;
    batch = [];
  }
}

async function* pieces(reader: ByteReader, parser: NarParser): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    while (!parser.done) {
      const piece = await reader.readSome(MAX_PIECE);
      if (piece === null) {
        parser.finish();
        return;
      }
      const used = parser.push(piece);
      reader.unread(piece.length - used);
      yield used === piece.length ? piece : piece.subarray(0, used);
    }
  } finally {
    if (!parser.done) reader.markUnusable("a NAR was not read to its end");
  }
}
