// Encodes Nix's wire primitives into one growing buffer: 64-bit integers, padded byte strings, lists.
import type { ByteString } from "../byte-string.ts";

/** How many zero bytes pad `length` bytes to a multiple of 8. */
export function paddingOf(length: number): number {
  return -length & 7;
}

/** A growing buffer of wire values (worker protocol, "primitives": little-endian u64, byte strings zero-padded to 8). */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialSize = 256) {
    this.#buffer = Buffer.allocUnsafe(initialSize);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** A 64-bit unsigned integer; a number must be a safe non-negative integer. */
  u64(value: bigint | number): this {
    const at = this.#grow(8);
    if (typeof value === "bigint") {
      this.#buffer.writeBigUInt64LE(value, at);
    } else {
      if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`);
      this.#buffer.writeUInt32LE(value % 0x1_0000_0000, at);
      this.#buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
    }
    return this;
  }

  /** A 64-bit signed integer in two's complement. */
  i64(value: bigint): this {
    const at = this.#grow(8);
    this.#buffer.writeBigInt64LE(value, at);
    return this;
  }

  /** A boolean: 1 or 0 as u64. */
  bool(value: boolean): this {
    return this.u64(value ? 1 : 0);
  }

  /** Length, bytes, zero padding. */
  bytes(value: Uint8Array): this {
    this.u64(value.length);
    const padding = paddingOf(value.length);
    const at = this.#grow(value.length + padding);
    this.#buffer.set(value, at);
    this.#buffer.fill(0, at + value.length, at + value.length + padding);
    return this;
  }

  /** A text in UTF-8 as padded bytes. */
  string(value: string): this {
    return this.#encoded(value, "utf8");
  }

  /** A byte string as padded bytes. */
  byteString(value: ByteString): this {
    return this.#encoded(value, "latin1");
  }

  /** A count, then each item, written by `writeItem`. */
  list<T>(items: Iterable<T>, writeItem: (item: T, writer: this) => void): this {
    const countAt = this.#grow(8);
    let count = 0;
    for (const item of items) {
      writeItem(item, this);
      count++;
    }
    this.#buffer.writeBigUInt64LE(BigInt(count), countAt);
    return this;
  }

  /** A list of texts. */
  strings(items: Iterable<string>): this {
    return this.list(items, (item) => this.string(item));
  }

  /** Bytes as is, without length or padding. */
  raw(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** The bytes written so far, as a view; the writer starts over with a new buffer. */
  finish(): Uint8Array {
    const written = this.#buffer.subarray(0, this.#length);
    this.#buffer = Buffer.allocUnsafe(256);
    this.#length = 0;
    return written;
  }

  #encoded(value: string, encoding: "utf8" | "latin1"): this {
    const length = Buffer.byteLength(value, encoding);
    this.u64(length);
    const padding = paddingOf(length);
    const at = this.#grow(length + padding);
    this.#buffer.write(value, at, length, encoding);
    this.#buffer.fill(0, at + length, at + length + padding);
    return this;
  }

  /** Makes room for `count` more bytes and returns where they start. */
  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = needed;
    return at;
  }
}
