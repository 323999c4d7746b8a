import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeNix32, encodeNix32 } from "../../../src/engine/formats/nix32.ts";

describe("nix32", () => {
  it("prints what Nix prints", () => {
    const empty = Buffer.from("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "hex");
    expect(encodeNix32(empty)).toBe("0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
  });

  it("gives back any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        expect(decodeNix32(encodeNix32(bytes))).toEqual(bytes);
      }),
    );
  });

  it.each([
    ["a foreign letter", "e".repeat(32)],
    ["a letter beyond bytes", `${"0".repeat(31)}ж`],
    ["a length of no bytes", "0".repeat(33)],
    ["bits beyond the last byte", `z${"0".repeat(51)}`],
  ])("refuses %s", (_, text) => {
    expect(() => decodeNix32(text)).toThrow(expect.objectContaining({ code: "NIX32_MALFORMED" }));
  });
});
