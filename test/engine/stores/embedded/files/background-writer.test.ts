// What is written in the background arrives whole and in order, and a disk that is full is heard of.
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { BackgroundWriter } from "../../../../../src/engine/stores/embedded/files/background-writer.ts";

const file = join(tmpdir(), `tsbt-background-${process.pid}`);

afterEach(() => rmSync(file, { force: true }));

describe("BackgroundWriter", () => {
  it("keeps the order of pieces of any size, and takes them although they are overwritten afterwards", async () => {
    const whole = Buffer.alloc(5 * 1024 * 1024 + 17);
    for (let at = 0; at + 4 <= whole.length; at += 4) whole.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
    const descriptor = openSync(file, "w");
    const writer = new BackgroundWriter(descriptor, whole.length);
    const piece = Buffer.alloc(3 * 1024 * 1024);
    for (let at = 0, size = 1; at < whole.length; at += size, size = Math.min(piece.length, size * 7)) {
      const part = whole.subarray(at, at + size);
      piece.set(part);
      await writer.take(piece.subarray(0, part.length));
    }
    await writer.finish();
    closeSync(descriptor);
    expect(Buffer.compare(readFileSync(file), whole)).toBe(0);
  });

  it("rejects with what the system says", async () => {
    const descriptor = openSync("/dev/full", "w");
    const writer = new BackgroundWriter(descriptor, 10);
    await writer.take(Buffer.alloc(5));
    await expect(writer.finish()).rejects.toMatchObject({ code: "ENOSPC" });
    await writer.settled();
    closeSync(descriptor);
  });
});
