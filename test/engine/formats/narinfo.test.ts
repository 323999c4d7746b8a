import { describe, expect, it } from "vitest";
import { MAX_NARINFO_LENGTH, parseNarInfo, printNarInfo } from "../../../src/engine/formats/narinfo.ts";

const hash = "0123456789abcdfghijklmnpqrsvwxyz";
const full = `StorePath: /nix/store/${hash}-a
URL: nar/x.nar.xz
Compression: xz
FileHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
FileSize: 100
NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
NarSize: 18446744073709551615
References: ${hash}-a ${hash}-b
Deriver: ${hash}-a.drv
Sig: one-1:AAAA
Sig: two-1:BBBB
CA: fixed:r:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
`;

describe("narinfo files", () => {
  it("are read and written back", () => {
    const narInfo = parseNarInfo(full, "a.narinfo");
    expect(printNarInfo(narInfo)).toBe(full);
    expect(narInfo.info.narSize).toBe(2n ** 64n - 1n);
    expect(narInfo.info.signatures).toEqual(["one-1:AAAA", "two-1:BBBB"]);
  });

  it("may leave out much, and may say what is not known", () => {
    const text = full
      .split("\n")
      .filter((line) => /^(StorePath|URL|NarHash|NarSize)/.test(line))
      .concat("Deriver: unknown-deriver", "System: x86_64-linux", "References:", "Future: field: with colons", "")
      .join("\r\n");
    const narInfo = parseNarInfo(text, "a.narinfo");
    expect(narInfo).toMatchObject({ compression: "bzip2", fileHash: null, fileSize: null });
    expect(narInfo.info).toMatchObject({ deriver: null, references: [], signatures: [], contentAddress: null });
  });

  it.each([
    ["NarSize: 18", "NarSize: -1", "a.narinfo:7: expected a good value of 'NarSize'"],
    ["NarHash: sha256:0", "NarHash: sha256:e", "a.narinfo:6: expected"],
    ["NarHash: sha256:", "NarHash: md5:", "a.narinfo:6: expected"],
    ["StorePath: /nix/store/", "StorePath: /gnu/store/", "a.narinfo:1: expected"],
    ["References: ", "References: ../../x ", "a.narinfo:8: expected"],
    ["URL: nar/x.nar.xz", "URL:", "a.narinfo:2: expected"],
    ["FileSize: 100", "URL: nar/y", "a.narinfo:5: expected one field 'URL', found a second"],
    ["FileSize: 100", "<html>", "a.narinfo:5: expected 'Field: value'"],
  ])("with '%s' changed to '%s' are refused, saying where", (from, to, message) => {
    expect(() => parseNarInfo(full.replace(from, to), "a.narinfo")).toThrow(message);
  });

  it.each(["StorePath", "URL", "NarHash", "NarSize"])("without %s are refused", (field) => {
    const text = full.replace(new RegExp(`^${field}:.*\n`, "m"), "");
    expect(() => parseNarInfo(text, "a.narinfo")).toThrow(expect.objectContaining({ code: "NARINFO_INCOMPLETE" }));
  });

  it("that are too long are refused", () => {
    expect(() => parseNarInfo("x".repeat(MAX_NARINFO_LENGTH + 1), "a.narinfo")).toThrow("at most");
  });
});
