// Decodes Nix's wire primitives from a stream of chunks: a pull reader that awaits only when nothing is buffered.
import { EngineError, messageOf } from "../../base/errors.ts";
import { type ByteString, fromBytes } from "../byte-string.ts";
import { paddingOf } from "./writer.ts";

const NOTHING = new Uint8Array(0);

/**
 * Reads wire values from chunks of any size (worker protocol, "primitives"). One read at a time. After an error, or when a caller broke off a
 * stream taken from it, the position in the stream is lost: every later read throws `WIRE_UNUSABLE`.
 *
 * Errors are EngineErrors of family `protocol`: `WIRE_TRUNCATED`, `WIRE_TOO_LONG`, `WIRE_BAD_PADDING`, `WIRE_BAD_VALUE`, `WIRE_UNUSABLE`;
 * messages begin with the reader's name and the byte position. Errors of the source pass unchanged.
 */
export class ByteReader {
  readonly name: string;
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = NOTHING;
  #offset = 0;
  /** Bytes before the current chunk. */
  #before = 0;
  #ended = false;
  #broken: string | null = null;

  /** `name` names the source of the bytes in messages: `ssh-ng://mac`. */
  constructor(source: AsyncIterable<Uint8Array>, name: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.name = name;
  }

  /** Bytes consumed so far. */
  get position(): number {
    return this.#before + this.#offset;
  }

  /** Bytes that can be read without awaiting. */
  get buffered(): number {
    return this.#chunk.length - this.#offset;
  }

  /** A 64-bit unsigned integer. */
  async readU64(): Promise<bigint> {
    this.#check();
    if (this.buffered < 8) await this.#need(8, "a 64-bit integer");
    return this.#takeU64();
  }

  /** A 64-bit unsigned integer if it is buffered, else null; never awaits. */
  tryReadU64(): bigint | null {
    this.#check();
    return this.buffered < 8 ? null : this.#takeU64();
  }

  /** A 64-bit integer in two's complement. */
  async readI64(): Promise<bigint> {
    return BigInt.asIntN(64, await this.readU64());
  }

  /** An integer of at most `max`, as a number. `what` names it in messages. */
  async readNumber(max: number, what = "a number"): Promise<number> {
    this.#check();
    if (this.buffered < 8) await this.#need(8, what);
    return this.#takeNumber(max, what);
  }

  /** A boolean; anything but 0 counts as true, as in Nix. */
  async readBool(): Promise<boolean> {
    return (await this.readU64()) !== 0n;
  }

  /** Padded bytes of at most `max`; a copy that stays valid. */
  async readBytes(max: number, what = "a byte string"): Promise<Uint8Array> {
    return Uint8Array.from(await this.#readPadded(max, what));
  }

  /** Padded bytes of at most `max` if they are fully buffered, else null; never awaits. */
  tryReadBytes(max: number, what = "a byte string"): Uint8Array | null {
    this.#check();
    const body = this.#tryPadded(max, what);
    return body === null ? null : Uint8Array.from(body);
  }

  /** Padded bytes of at most `max` as UTF-8 text if they are fully buffered, else null; never awaits. */
  tryReadString(max: number, what = "a string"): string | null {
    this.#check();
    const body = this.#tryPadded(max, what);
    return body === null ? null : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  }

  /** Padded bytes of at most `max` as a byte string. */
  async readByteString(max: number, what = "a byte string"): Promise<ByteString> {
    return fromBytes(await this.#readPadded(max, what));
  }

  /** Padded bytes of at most `max` as UTF-8 text; malformed sequences become U+FFFD, so use a byte string for text that must be kept exactly. */
  async readString(max: number, what = "a string"): Promise<string> {
    const body = await this.#readPadded(max, what);
    return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  }

  /** A count of at most `maxCount`, then as many items, each read by `readItem`. */
  async readList<T>(maxCount: number, readItem: () => Promise<T>, what = "a list"): Promise<T[]> {
    const count = await this.readNumber(maxCount, `the count of ${what}`);
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(await readItem());
    return items;
  }

  /** Exactly `count` raw bytes without length or padding; a copy that stays valid. */
  async readExact(count: number, what = "raw bytes"): Promise<Uint8Array> {
    this.#check();
    if (this.buffered < count) await this.#need(count, what);
    return Uint8Array.from(this.#take(count));
  }

  /** Exactly `count` raw bytes as a stream of views into the chunks. Breaking off makes the reader unusable. */
  async *readExactStream(count: bigint | number, what = "raw bytes"): AsyncGenerator<Uint8Array, void, undefined> {
    let left = Number(count);
    if (!Number.isSafeInteger(left)) throw this.#fail("WIRE_TOO_LONG", `expected ${what}`, `${count} bytes`);
    try {
      while (left > 0) {
        const bytes = await this.readSome(left);
        if (bytes === null) throw this.#fail("WIRE_TRUNCATED", `expected ${left} more bytes of ${what}`, "the end");
        left -= bytes.length;
        yield bytes;
      }
    } finally {
      if (left > 0) this.#broken ??= `${what} was not read to its end`;
    }
  }

  /** The bytes that come next, at most `max`, as a view; null at the end of the stream. */
  async readSome(max: number): Promise<Uint8Array | null> {
    this.#check();
    if (this.buffered === 0 && !(await this.#pull())) return null;
    return this.#take(Math.min(max, this.buffered));
  }

  /** Puts back the last `count` bytes taken by {@link readSome}, which must come from the same call. */
  unread(count: number): void {
    if (count > this.#offset) throw new RangeError(`cannot put back ${count} bytes`);
    this.#offset -= count;
  }

  /** The next bytes without consuming them: `count`, or fewer where the stream ends. A view. */
  async peek(count: number): Promise<Uint8Array> {
    this.#check();
    while (this.buffered < count && (await this.#pullMore()));
    return this.#chunk.subarray(this.#offset, Math.min(this.#chunk.length, this.#offset + count));
  }

  /** Whether the stream ends here. */
  async atEnd(): Promise<boolean> {
    this.#check();
    return this.buffered === 0 && !(await this.#pull());
  }

  /** Makes every later read throw `WIRE_UNUSABLE` with the reason, because the position in the stream is lost. */
  markUnusable(reason: string): void {
    this.#broken ??= reason;
  }

  /** An error of this reader at its position: `<name>: at byte 12: <expected>, found <found>`. Makes the reader unusable. */
  fail(code: string, expected: string, found: string): EngineError {
    return this.#fail(code, expected, found);
  }

  #fail(code: string, expected: string, found: string): EngineError {
    const message = `${this.name}: at byte ${this.position}: ${expected}, found ${found}`;
    this.#broken ??= message;
    return new EngineError("protocol", code, message);
  }

  #check(): void {
    if (this.#broken !== null) {
      throw new EngineError(
        "protocol",
        "WIRE_UNUSABLE",
        `${this.name}: the stream can no longer be read: ${this.#broken}`,
        {
          hint: "Open the connection again.",
        },
      );
    }
  }

  async #readPadded(max: number, what: string): Promise<Uint8Array> {
    this.#check();
    const ready = this.#tryPadded(max, what);
    if (ready !== null) return ready;
    if (this.buffered < 8) await this.#need(8, what);
    const length = this.#takeNumber(max, `the length of ${what}`);
    const whole = length + paddingOf(length);
    if (this.buffered < whole) await this.#need(whole, what);
    return this.#takePadded(length, what);
  }

  #tryPadded(max: number, what: string): Uint8Array | null {
    const buffered = this.buffered;
    if (buffered < 8) return null;
    const length = this.#takeNumber(max, `the length of ${what}`);
    if (buffered - 8 < length + paddingOf(length)) {
      this.#offset -= 8;
      return null;
    }
    return this.#takePadded(length, what);
  }

  #takePadded(length: number, what: string): Uint8Array {
    const body = this.#take(length);
    const padding = paddingOf(length);
    for (let index = 0; index < padding; index++) {
      const byte = this.#chunk[this.#offset]!;
      if (byte !== 0) throw this.#fail("WIRE_BAD_PADDING", `expected a zero byte of padding after ${what}`, `${byte}`);
      this.#offset++;
    }
    return body;
  }

  #takeU64(): bigint {
    const low = this.#u32(this.#offset);
    const high = this.#u32(this.#offset + 4);
    this.#offset += 8;
    return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
  }

  #takeNumber(max: number, what: string): number {
    const value = this.#u32(this.#offset + 4) * 0x1_0000_0000 + this.#u32(this.#offset);
    if (value > max) {
      throw this.#fail("WIRE_TOO_LONG", `expected at most ${max} for ${what}`, `${this.#takeU64()}`);
    }
    this.#offset += 8;
    return value;
  }

  #u32(at: number): number {
    const bytes = this.#chunk;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  #take(count: number): Uint8Array {
    const bytes = this.#chunk.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return bytes;
  }

  /** Buffers at least `count` bytes in one piece. Memory grows with the bytes that have arrived, not with the announced length. */
  async #need(count: number, what: string): Promise<void> {
    const pieces = [this.#chunk.subarray(this.#offset)];
    let have = this.buffered;
    const start = this.position;
    while (have < count) {
      const piece = await this.#next();
      if (piece === null) {
        this.#setChunk(pieces, start);
        throw this.#fail("WIRE_TRUNCATED", `expected ${count} bytes of ${what}`, `${have} and the end of the stream`);
      }
      pieces.push(piece);
      have += piece.length;
    }
    this.#setChunk(pieces, start);
  }

  /** Appends the next chunk to what is buffered; false at the end. */
  async #pullMore(): Promise<boolean> {
    const start = this.position;
    const rest = this.#chunk.subarray(this.#offset);
    const piece = await this.#next();
    if (piece === null) return false;
    this.#setChunk([rest, piece], start);
    return true;
  }

  /** Replaces the used chunk with the next one; false at the end. */
  async #pull(): Promise<boolean> {
    const start = this.position;
    const piece = await this.#next();
    if (piece === null) return false;
    this.#setChunk([piece], start);
    return true;
  }

  #setChunk(pieces: readonly Uint8Array[], start: number): void {
    const parts = pieces.filter((piece) => piece.length > 0);
    this.#chunk = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    this.#offset = 0;
    this.#before = start;
  }

  async #next(): Promise<Uint8Array | null> {
    while (!this.#ended) {
      let result: IteratorResult<Uint8Array, unknown>;
      try {
        result = await this.#source.next();
      } catch (error) {
        this.#broken ??= messageOf(error);
        throw error;
      }
      if (result.done === true) this.#ended = true;
      else if (result.value.length > 0) return result.value;
    }
    return null;
  }
}
