import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromBytes } from "../../../../src/engine/formats/byte-string.ts";
import { frameHeader, readFramed } from "../../../../src/engine/formats/wire/framed.ts";
import { ByteReader } from "../../../../src/engine/formats/wire/reader.ts";
import { ByteWriter, paddingOf } from "../../../../src/engine/formats/wire/writer.ts";
import { everySplit, gather, streamOf } from "../chunks.ts";

const MAX = 1000;

function readerOf(...chunks: Uint8Array[]): ByteReader {
  return new ByteReader(streamOf(...chunks), "peer");
}

function u64(value: bigint | number): Uint8Array {
  return Uint8Array.from(new ByteWriter().u64(value).finish());
}

describe("wire values", () => {
  it("are read back, however the stream is cut", async () => {
    const odd = fromBytes(Uint8Array.of(0xff, 0, 0x80));
    const bytes = Uint8Array.from(
      new ByteWriter()
        .u64(2n ** 64n - 1n)
        .i64(-5n)
        .bool(true)
        .string("pfäd")
        .byteString(odd)
        .bytes(new Uint8Array(0))
        .strings(["a", "12345678"])
        .u64(2 ** 40)
        .raw(Uint8Array.of(1, 2, 3))
        .finish(),
    );
    for (const chunks of everySplit(bytes)) {
      const reader = readerOf(...chunks);
      expect(await reader.readU64()).toBe(2n ** 64n - 1n);
      expect(await reader.readI64()).toBe(-5n);
      expect(await reader.readBool()).toBe(true);
      expect(await reader.readString(MAX)).toBe("pfäd");
      expect(await reader.readByteString(MAX)).toBe(odd);
      expect(await reader.readBytes(MAX)).toEqual(new Uint8Array(0));
      expect(await reader.readList(10, () => reader.readString(MAX))).toEqual(["a", "12345678"]);
      expect(await reader.peek(8)).toEqual(expect.objectContaining({ length: 8 }));
      expect(await reader.readNumber(2 ** 41)).toBe(2 ** 40);
      expect(await gather(reader.readExactStream(3))).toEqual(Buffer.from([1, 2, 3]));
      expect(reader.position).toBe(bytes.length);
      expect(await reader.atEnd()).toBe(true);
    }
  });

  it("of any contents are read back", async () => {
    const value = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array({ maxLength: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.array(value), fc.integer({ min: 1, max: 17 }), async (values, size) => {
        const writer = new ByteWriter(1);
        for (const item of values) typeof item === "bigint" ? writer.u64(item) : writer.bytes(item);
        const bytes = Uint8Array.from(writer.finish());
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
          bytes.subarray(index * size, (index + 1) * size),
        );
        const reader = readerOf(...chunks);
        for (const item of values) {
          if (typeof item === "bigint") expect(reader.tryReadU64() ?? (await reader.readU64())).toBe(item);
          else expect(reader.tryReadBytes(40) ?? (await reader.readBytes(40))).toEqual(item);
        }
        expect(await reader.atEnd()).toBe(true);
      }),
    );
  });

  it("cut short at any offset are an error that says where", async () => {
    const bytes = Uint8Array.from(new ByteWriter().u64(1).string("hello").finish());
    for (let length = 0; length < bytes.length; length++) {
      const reader = readerOf(bytes.subarray(0, length));
      const read = async () => [await reader.readU64(), await reader.readString(MAX)];
      await expect(read()).rejects.toMatchObject({
        code: "WIRE_TRUNCATED",
        message: expect.stringMatching(/^peer: at byte \d+: expected/),
      });
      await expect(reader.readU64()).rejects.toMatchObject({ code: "WIRE_UNUSABLE" });
    }
  });

  it("longer than allowed are refused before they arrive", async () => {
    const reader = readerOf(u64(2n ** 63n));
    await expect(reader.readString(MAX)).rejects.toMatchObject({
      code: "WIRE_TOO_LONG",
      message: "peer: at byte 8: expected at most 1000 for the length of a string, found 9223372036854775808",
    });
    await expect(readerOf(u64(11)).readList(10, async () => 1)).rejects.toMatchObject({ code: "WIRE_TOO_LONG" });
    await expect(readerOf(u64(1001)).readNumber(1000)).rejects.toMatchObject({ code: "WIRE_TOO_LONG" });
  });

  it("with padding that is not zero are refused at every byte of it", async () => {
    for (let length = 1; length < 8; length++) {
      for (let index = 0; index < paddingOf(length); index++) {
        const bytes = Uint8Array.from(new ByteWriter().bytes(new Uint8Array(length)).finish());
        bytes[8 + length + index] = 1;
        await expect(readerOf(bytes).readBytes(MAX)).rejects.toMatchObject({ code: "WIRE_BAD_PADDING" });
      }
    }
  });

  it("stay valid when they are copied out of a chunk", async () => {
    const chunk = Uint8Array.from(new ByteWriter().bytes(Uint8Array.of(1, 2)).finish());
    const value = await readerOf(chunk).readBytes(MAX);
    chunk.fill(9);
    expect(value).toEqual(Uint8Array.of(1, 2));
  });

  it("are not read on after a stream that was broken off", async () => {
    const reader = readerOf(new Uint8Array(32));
    for await (const _ of reader.readExactStream(64)) break;
    await expect(reader.readU64()).rejects.toMatchObject({ code: "WIRE_UNUSABLE" });
  });

  it("pass on what the source throws", async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield u64(5);
      throw new Error("link is down");
    }
    const reader = new ByteReader(broken(), "peer");
    expect(await reader.readU64()).toBe(5n);
    await expect(reader.readU64()).rejects.toThrow("link is down");
    await expect(reader.readU64()).rejects.toMatchObject({ code: "WIRE_UNUSABLE" });
  });

  it("are written only in range", () => {
    expect(() => new ByteWriter().u64(-1)).toThrow(RangeError);
    expect(() => new ByteWriter().u64(2n ** 64n)).toThrow(RangeError);
    expect(() => new ByteWriter().u64(1.5)).toThrow(RangeError);
  });
});

const framed = (...chunks: string[]) =>
  Buffer.concat([...chunks, ""].flatMap((chunk) => [frameHeader(chunk.length), Buffer.from(chunk)]));

describe("framed streams", () => {
  it("are read back, however the stream is cut, and end where they end", async () => {
    const bytes = Buffer.concat([framed("hello", "world!!!"), u64(7)]);
    for (const chunks of everySplit(bytes)) {
      const reader = readerOf(...chunks);
      expect(`${await gather(readFramed(reader))}`).toBe("helloworld!!!");
      expect(await reader.readU64()).toBe(7n);
    }
  });

  it("cut short at any offset are an error", async () => {
    const bytes = framed("hello");
    for (let length = 0; length < bytes.length; length++) {
      await expect(gather(readFramed(readerOf(bytes.subarray(0, length))))).rejects.toMatchObject({
        code: "WIRE_TRUNCATED",
      });
    }
  });

  it("broken off make the reader unusable", async () => {
    const reader = readerOf(Buffer.concat([frameHeader(4), new Uint8Array(4), frameHeader(0)]));
    for await (const _ of readFramed(reader)) break;
    await expect(reader.readU64()).rejects.toMatchObject({ code: "WIRE_UNUSABLE" });
  });
});
