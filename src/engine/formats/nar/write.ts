// Writes NARs from events, joining the small tokens into large chunks and enforcing the rules that readers check.
import { EngineError } from "../../base/errors.ts";
import type { ByteString } from "../byte-string.ts";
import { ByteWriter, paddingOf } from "../wire/writer.ts";
import { MAX_DEPTH, type NarEvent, nameFault, targetFault } from "./event.ts";
import * as tokens from "./tokens.ts";

/** Chunks are emitted when they reach this size. */
const CHUNK_SIZE = 64 * 1024;

/** Contents of at least this size are passed on as they are instead of being copied. */
const PASS_THROUGH_SIZE = 16 * 1024;

const ZEROS = new Uint8Array(8);

/** Turns events into NAR bytes. Throws `NAR_BAD_EVENT` with the entry's name when the events do not make an archive. */
export class NarWriter {
  #writer = new ByteWriter(CHUNK_SIZE + PASS_THROUGH_SIZE);
  #chunks: Uint8Array[] = [];
  readonly #lastNames: ByteString[] = [];
  /** Bytes of contents still to come; null outside of files. */
  #left: number | null = null;
  #padding = 0;
  #started = false;
  #done = false;

  /** Takes the next event. Contents may be passed on by reference, so they must not be changed afterwards. */
  push(event: NarEvent): void {
    if (this.#done) throw bad(`nothing after the end, found '${event.type}'`);
    switch (event.type) {
      case "directory":
        this.#open(event.name);
        if (this.#lastNames.length >= MAX_DEPTH) throw bad(`at most ${MAX_DEPTH} nested directories`);
        this.#writer.raw(tokens.DIRECTORY);
        this.#lastNames.push("" as ByteString);
        break;
      case "endDirectory":
        if (this.#left !== null || this.#lastNames.length === 0) throw bad("'endDirectory' only inside a directory");
        this.#lastNames.pop();
        this.#close();
        break;
      case "symlink": {
        const fault = targetFault(event.target);
        if (fault !== null) throw bad(`a symlink target for '${event.name}', found ${fault}`);
        this.#open(event.name);
        this.#writer.raw(tokens.SYMLINK_TARGET).byteString(event.target);
        this.#close();
        break;
      }
      case "file":
        this.#open(event.name);
        this.#writer.raw(tokens.REGULAR);
        if (event.executable) this.#writer.raw(tokens.EXECUTABLE);
        this.#writer.raw(tokens.CONTENTS).u64(event.size);
        this.#left = event.size;
        this.#padding = paddingOf(event.size);
        break;
      case "contents":
        this.#contents(event.bytes);
        break;
      case "endFile":
        if (this.#left !== 0) throw bad(`${this.#left ?? "no"} more bytes of contents before 'endFile'`);
        this.#left = null;
        this.#writer.raw(ZEROS.subarray(0, this.#padding));
        this.#close();
        break;
    }
    if (this.#writer.length >= CHUNK_SIZE) this.#flush();
  }

  /** The full chunks made so far; each is returned once. */
  take(): Uint8Array[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }

  /** The remaining chunks. Throws `NAR_BAD_EVENT` when the archive is not complete. */
  finish(): Uint8Array[] {
    if (!this.#done) throw bad("more events, found the end");
    return this.take();
  }

  #open(name: ByteString): void {
    if (this.#left !== null) throw bad(`'endFile' before '${name}'`);
    if (!this.#started) {
      if (name !== "") throw bad(`the empty name for the root, found '${name}'`);
      this.#started = true;
      this.#writer.raw(tokens.MAGIC).raw(tokens.NODE);
      return;
    }
    const depth = this.#lastNames.length - 1;
    const last = this.#lastNames[depth];
    if (last === undefined) throw bad(`nothing after the root, found '${name}'`);
    const fault = nameFault(name);
    if (fault !== null) throw bad(`an entry name, found ${fault}`);
    if (name <= last) throw bad(`an entry name after ${JSON.stringify(last)}, found ${JSON.stringify(name)}`);
    this.#lastNames[depth] = name;
    this.#writer.raw(tokens.ENTRY_NAME).byteString(name).raw(tokens.ENTRY_NODE).raw(tokens.NODE);
  }

  #close(): void {
    if (this.#lastNames.length > 0) {
      this.#writer.raw(tokens.CLOSE_ENTRY);
      return;
    }
    this.#writer.raw(tokens.CLOSE);
    this.#done = true;
    this.#flush();
  }

  #contents(bytes: Uint8Array): void {
    if (this.#left === null || bytes.length > this.#left) {
      throw bad(`at most ${this.#left ?? 0} bytes of contents, found ${bytes.length}`);
    }
    this.#left -= bytes.length;
    if (bytes.length < PASS_THROUGH_SIZE) {
      this.#writer.raw(bytes);
      return;
    }
    this.#flush();
    this.#chunks.push(bytes);
  }

  #flush(): void {
    if (this.#writer.length > 0) this.#chunks.push(this.#writer.finish());
  }
}

/** The chunks of the archive described by batches of events; the counterpart of parseNar. */
export async function* writeNar(
  batches: AsyncIterable<readonly NarEvent[]> | Iterable<readonly NarEvent[]>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new NarWriter();
  for await (const batch of batches) {
    for (const event of batch) writer.push(event);
    yield* writer.take();
  }
  yield* writer.finish();
}

function bad(expected: string): EngineError {
  return new EngineError("format", "NAR_BAD_EVENT", `NAR: expected ${expected}`);
}
