import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ByteString } from "../../../../../../src/engine/formats/byte-string.ts";
import {
  hashModulo,
  rewriteStream,
  rewriteText,
} from "../../../../../../src/engine/stores/embedded/executor/outputs/rewrite.ts";

const A = "a".repeat(32) as ByteString;
const B = "b".repeat(32) as ByteString;
const C = "c".repeat(32) as ByteString;

async function* pieces(text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const cut of [...cuts].sort((one, other) => one - other)) {
    const end = Math.min(cut, text.length);
    if (end > at) yield Buffer.from(text.slice(at, end), "latin1");
    at = Math.max(at, end);
  }
  yield Buffer.from(text.slice(at), "latin1");
}

describe("rewriting", () => {
  it("changes a stream as it changes the whole text, wherever the stream is cut", async () => {
    const part = fc.oneof(fc.constantFrom<string>(A, B, "-", "aaa"), fc.string({ maxLength: 40 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 8 }),
        fc.array(fc.nat(300), { maxLength: 12 }),
        async (parts, cuts) => {
          const text = Buffer.from(parts.join("|")).toString("latin1");
          const rewrites = new Map([
            [A, C],
            [B, "d".repeat(32) as ByteString],
          ]);
          const chunks: Uint8Array[] = [];
          for await (const chunk of rewriteStream(pieces(text, cuts), rewrites)) chunks.push(chunk);
          // A run of more than 32 equal letters can be cut in several ways; only the number of bytes is promised then.
          if (/a{33}|b{33}/.test(text)) expect(Buffer.concat(chunks).length).toBe(text.length);
          else expect(Buffer.concat(chunks).toString("latin1")).toBe(rewriteText(text as ByteString, rewrites));
        },
      ),
    );
  });

  it("hashes contents with their own hash part as zeros and the places behind them", async () => {
    const text = `x${A}yy${A}`;
    const expected = createHash("sha256")
      .update(`x${"\0".repeat(32)}yy${"\0".repeat(32)}|1|35`)
      .digest("hex");
    expect(Buffer.from(await hashModulo(pieces(text, [5, 40]), "sha256", A)).toString("hex")).toBe(expected);
    expect(await hashModulo(pieces(text, []), "sha256", A)).toEqual(
      await hashModulo(pieces(text.replaceAll(A, B), [7, 8, 9]), "sha256", B),
    );
  });
});
