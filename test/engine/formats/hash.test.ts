import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HASH_SIZES, type HashAlgorithm, hashBytes, parseHash, printHash } from "../../../src/engine/formats/hash.ts";

const algorithms = Object.keys(HASH_SIZES) as HashAlgorithm[];
const anyHash = fc.constantFrom(...algorithms).chain((algorithm) =>
  fc.record({
    algorithm: fc.constant(algorithm),
    digest: fc.uint8Array({ minLength: HASH_SIZES[algorithm], maxLength: HASH_SIZES[algorithm] }),
  }),
);

describe("hash", () => {
  it("is read back from every notation", () => {
    fc.assert(
      fc.property(anyHash, fc.constantFrom("hex", "nix32", "base64", "sri" as const), (hash, notation) => {
        expect(parseHash(printHash(hash, notation, true))).toEqual(hash);
        expect(parseHash(printHash(hash, notation, false), hash.algorithm)).toEqual(hash);
      }),
    );
  });

  it("is what the algorithm says", () => {
    expect(printHash(hashBytes("md5", ""), "hex", true)).toBe("md5:d41d8cd98f00b204e9800998ecf8427e");
    expect(printHash(hashBytes("sha256", new Uint8Array(0)), "sri", false)).toBe(
      "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
    expect(() => hashBytes("blake3", "")).toThrow(expect.objectContaining({ code: "HASH_UNSUPPORTED" }));
  });

  it.each([
    ["d41d8cd98f00b204e9800998ecf8427e", "HASH_MALFORMED"],
    ["crc32:00", "HASH_UNKNOWN_ALGORITHM"],
    ["toString:00", "HASH_UNKNOWN_ALGORITHM"],
    ["md5:zz", "HASH_MALFORMED"],
    ["md5:g41d8cd98f00b204e9800998ecf8427e", "HASH_MALFORMED"],
    ["sha256-47DEQpj8HBSa", "HASH_MALFORMED"],
    ["sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "HASH_MALFORMED"],
    ["", "HASH_MALFORMED"],
  ])("refuses '%s'", (text, code) => {
    expect(() => parseHash(text)).toThrow(expect.objectContaining({ code }));
  });

  it("refuses another algorithm than the expected one", () => {
    expect(() => parseHash(printHash(hashBytes("md5", ""), "hex", true), "sha1")).toThrow(
      expect.objectContaining({ code: "HASH_MALFORMED" }),
    );
  });
});
