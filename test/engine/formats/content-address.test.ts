import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ContentAddressMethod,
  contentAddressedPath,
  isContentAddressed,
  parseContentAddress,
  parseMethodAlgorithm,
  printContentAddress,
  printMethodAlgorithm,
} from "../../../src/engine/formats/content-address.ts";
import { HASH_SIZES, type HashAlgorithm, hashBytes, parseHash } from "../../../src/engine/formats/hash.ts";
import { outputPathName } from "../../../src/engine/formats/make-store-path.ts";
import { parseStorePath } from "../../../src/engine/formats/store-path.ts";

const methods: ContentAddressMethod[] = ["flat", "nar", "text", "git"];
const reference = parseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name");

describe("content addresses", () => {
  it("are read back", () => {
    const algorithms = fc.constantFrom(...(Object.keys(HASH_SIZES) as HashAlgorithm[]));
    fc.assert(
      fc.property(
        fc.constantFrom(...methods),
        algorithms,
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (method, algorithm, bytes) => {
          const address = { method, hash: { algorithm, digest: bytes.slice(0, HASH_SIZES[algorithm]) } };
          expect(parseContentAddress(printContentAddress(address))).toEqual(address);
          expect(parseMethodAlgorithm(printMethodAlgorithm(method, algorithm))).toEqual({ method, algorithm });
        },
      ),
    );
  });

  it("are written as Nix writes them", () => {
    const hash = parseHash("sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
    expect(methods.map((method) => printContentAddress({ method, hash }))).toEqual([
      "fixed:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
      "fixed:r:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
      "text:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
      "fixed:git:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
    ]);
  });

  it.each([
    "",
    "sha256:00",
    "text:r:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
    "fixed:sha256",
    "path:sha256:00",
  ])("refuses '%s'", (text) => {
    expect(() => parseContentAddress(text)).toThrow(expect.objectContaining({ code: "CONTENT_ADDRESS_MALFORMED" }));
  });

  it("allow references only where Nix does", () => {
    const hash = hashBytes("sha256", "x");
    const impossible = expect.objectContaining({ code: "CONTENT_ADDRESS_IMPOSSIBLE" });
    const others = [reference];
    expect(() => contentAddressedPath("x", { method: "flat", hash }, { others, self: false })).toThrow(impossible);
    expect(() =>
      contentAddressedPath("x", { method: "nar", hash: hashBytes("sha1", "") }, { others, self: false }),
    ).toThrow(impossible);
    expect(() => contentAddressedPath("x", { method: "text", hash }, { others: [], self: true })).toThrow(impossible);
    expect(() => contentAddressedPath("x", { method: "text", hash: hashBytes("sha1", "") })).toThrow(impossible);
    expect(() => contentAddressedPath("x", { method: "git", hash: hashBytes("md5", "") })).toThrow(impossible);
    expect(contentAddressedPath("x", { method: "nar", hash }, { others, self: true })).not.toBe(
      contentAddressedPath("x", { method: "nar", hash }, { others, self: false }),
    );
  });

  it("vouch for their path only with the right references and name", () => {
    const address = { method: "nar", hash: hashBytes("sha256", "x") } as const;
    const path = contentAddressedPath("x", address, { others: [reference], self: false });
    const text = printContentAddress(address);
    expect(isContentAddressed(path, text, [reference])).toBe(true);
    expect(isContentAddressed(path, text, [])).toBe(false);
    expect(isContentAddressed(path, null, [reference])).toBe(false);
    expect(isContentAddressed(path, "nonsense", [reference])).toBe(false);
    expect(isContentAddressed(parseStorePath(`${path}y`), text, [reference])).toBe(false);
  });

  it("name outputs as Nix does", () => {
    expect(outputPathName("gcc-13", "out")).toBe("gcc-13");
    expect(outputPathName("gcc-13", "lib")).toBe("gcc-13-lib");
  });
});
