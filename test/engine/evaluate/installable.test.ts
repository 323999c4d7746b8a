import { describe, expect, it } from "vitest";
import { parseInstallables, writtenFor } from "../../../src/engine/evaluate/installable.ts";

const DRV = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-a.drv";
const OUT = "/nix/store/3pysdbjixd4amzidam0kp6vwzpqy58y3-a";
const NONE = { words: [], file: null, expression: null, attributes: [] } as const;

function parse(...words: string[]) {
  return parseInstallables({ ...NONE, words });
}

describe("installables", () => {
  it("are nix build's where every word is, else nix-build's", () => {
    const file = "x.nix";
    for (const words of [
      { file, words: ["a", "b^dev"] },
      { expression: "{ }", words: ["a"] },
      { words: [".#a", "nixpkgs#b", "github:o/r"] },
      { words: [`${DRV}^out`, ".#a"] },
    ])
      expect(writtenFor({ ...NONE, ...words }), words.words.join(" ")).toBe("nix build");
    for (const words of [
      { words: [] },
      { file, words: [] },
      { file, words: ["a", DRV] },
      { file, words: ["a"], attributes: ["b"] },
      { words: [file] },
      { words: ["(x # y)"] },
      { words: [DRV, `${DRV}^out`] },
      { words: [`${DRV}!out`] },
      { words: [OUT] },
    ])
      expect(writtenFor({ ...NONE, ...words }), words.words.join(" ")).toBe("nix-build");
  });

  it.each([
    [DRV, { type: "derivation", drvPath: DRV, outputs: { type: "all" } }],
    [`${DRV}^*`, { type: "derivation", drvPath: DRV, outputs: { type: "all" } }],
    [`${DRV}^out,dev`, { type: "derivation", drvPath: DRV, outputs: { type: "named", names: ["out", "dev"] } }],
    [`${DRV}!dev`, { type: "derivation", drvPath: DRV, outputs: { type: "named", names: ["dev"] } }],
    [OUT, { type: "storePath", path: OUT }],
    [`${OUT}/bin/a`, { type: "storePath", path: OUT }],
    ["(import ./. {})", { type: "expression", text: "(import ./. {})", attributes: [] }],
    ["./x.nix", { type: "file", path: "./x.nix", attributes: [] }],
    ["<nixpkgs>", { type: "file", path: "<nixpkgs>", attributes: [] }],
    ["https://h/x.tar.gz", { type: "file", path: "https://h/x.tar.gz", attributes: [] }],
    ["./build.ts", { type: "buildFile", path: "./build.ts", attributes: [] }],
    ["build.mjs", { type: "buildFile", path: "build.mjs", attributes: [] }],
    [".#x", { type: "flake", reference: ".#x", outputs: { type: "default" } }],
    ["nixpkgs#hello^dev", { type: "flake", reference: "nixpkgs#hello", outputs: { type: "named", names: ["dev"] } }],
    ["nixpkgs#hello^*", { type: "flake", reference: "nixpkgs#hello", outputs: { type: "all" } }],
    ["github:NixOS/nixpkgs", { type: "flake", reference: "github:NixOS/nixpkgs", outputs: { type: "default" } }],
    ["git+ssh://h/x?ref=a^b#c", { type: "flake", reference: "git+ssh://h/x?ref=a^b#c", outputs: { type: "default" } }],
    ["path:./x.ts", { type: "flake", reference: "path:./x.ts", outputs: { type: "default" } }],
    ["./dir", { type: "place", path: "./dir", attributes: [] }],
    ["result", { type: "place", path: "result", attributes: [] }],
  ])("reads %j", (word, expected) => {
    expect(parse(word)).toEqual([expected]);
  });

  it("without words is the current directory", () => {
    expect(parse()).toEqual([{ type: "place", path: ".", attributes: [] }]);
    expect(parseInstallables({ ...NONE, attributes: ["a", "b"] })).toEqual([
      { type: "place", path: ".", attributes: ["a", "b"] },
    ]);
  });

  it("gives the attributes to every file, expression and build file", () => {
    expect(parseInstallables({ ...NONE, words: ["x.nix", "(y)", "z.ts", DRV], attributes: ["a"] })).toEqual([
      { type: "file", path: "x.nix", attributes: ["a"] },
      { type: "expression", text: "(y)", attributes: ["a"] },
      { type: "buildFile", path: "z.ts", attributes: ["a"] },
      { type: "derivation", drvPath: DRV, outputs: { type: "all" } },
    ]);
  });

  it("takes words for attributes of --file and --expr, as 'nix build' does", () => {
    expect(parseInstallables({ ...NONE, file: "x.nix", words: ["a", "b.c^dev", DRV], attributes: ["z"] })).toEqual([
      { type: "file", path: "x.nix", attributes: ["z", "a", "b.c^dev"] },
      { type: "derivation", drvPath: DRV, outputs: { type: "all" } },
    ]);
    expect(parseInstallables({ ...NONE, expression: "import ./." })).toEqual([
      { type: "expression", text: "import ./.", attributes: [] },
    ]);
    expect(parseInstallables({ ...NONE, file: "dir", attributes: ["a"] })).toEqual([
      { type: "place", path: "dir", attributes: ["a"] },
    ]);
    expect(parseInstallables({ ...NONE, file: "b.ts", words: ["a"] })).toEqual([
      { type: "buildFile", path: "b.ts", attributes: ["a"] },
    ]);
  });

  it.each([
    [{ words: [""] }, "INSTALLABLE_EMPTY"],
    [{ words: [`${OUT}^dev`] }, "INSTALLABLE_NOT_A_DERIVATION"],
    [{ words: [`${DRV}^a/b`] }, "INSTALLABLE_BAD_OUTPUTS"],
    [{ words: [`${DRV}^`] }, "INSTALLABLE_BAD_OUTPUTS"],
    [{ words: ["/nix/store/nonsense"] }, "STORE_PATH_MALFORMED"],
    [{ words: [".#x"], attributes: ["y"] }, "INSTALLABLE_FLAKE_ATTRIBUTE"],
    [{ file: "a", expression: "b" }, "INSTALLABLE_TWO_SOURCES"],
  ])("refuses %j", (words, code) => {
    expect(() => parseInstallables({ ...NONE, ...words })).toThrow(expect.objectContaining({ code }));
  });
});
