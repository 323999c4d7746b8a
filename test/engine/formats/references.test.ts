import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NIX32_ALPHABET } from "../../../src/engine/formats/nix32.ts";
import { ReferenceScanner } from "../../../src/engine/formats/references.ts";
import { hashPartOf, parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { everySplit, singleBytes } from "./chunks.ts";
import { scanReferences } from "./scan.ts";

const hashPart = fc
  .array(fc.constantFrom(...NIX32_ALPHABET), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.join(""));
const path = hashPart.map((hash) => parseStorePath(`/nix/store/${hash}-x`));

/** Which candidates occur, by plain search. */
function searched(bytes: Uint8Array, candidates: readonly StorePath[]): StorePath[] {
  const text = Buffer.from(bytes).toString("latin1");
  return [...new Set(candidates)].filter((candidate) => text.includes(hashPartOf(candidate))).sort();
}

describe("the reference scanner", () => {
  it("finds what plain search finds, in any text and however it is cut", async () => {
    const digits = fc.array(fc.constantFrom(..."0123abez/"), { maxLength: 60 }).map((part) => part.join(""));
    await fc.assert(
      fc.asyncProperty(
        fc.array(path, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(5)),
        digits,
        fc.nat(100),
        async (paths, order, noise, cut) => {
          const text = order
            .map((index) => (index < paths.length ? hashPartOf(paths[index]!) : noise))
            .join(noise.slice(0, 3));
          const bytes = Buffer.from(text);
          const expected = searched(bytes, paths);
          expect(await scanReferences([bytes.subarray(0, cut), bytes.subarray(cut)], paths)).toEqual(expected);
          expect(await scanReferences(singleBytes(bytes), paths)).toEqual(expected);
        },
      ),
    );
  });

  it("finds hash parts across every border of chunks", async () => {
    const candidate = parseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name");
    const other = parseStorePath("/nix/store/1123456789abcdfghijklmnpqrsvwxyz-name");
    const bytes = Buffer.from("zzz/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name and more");
    for (const chunks of everySplit(bytes))
      expect(await scanReferences(chunks, [candidate, other])).toEqual([candidate]);
  });

  it("finds hash parts within long runs of digits", () => {
    const candidate = parseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name");
    const scanner = new ReferenceScanner([candidate]);
    scanner.push(Buffer.from(`${"0".repeat(1000)}${hashPartOf(candidate)}${"z".repeat(1000)}`));
    expect(scanner.references()).toEqual([candidate]);
  });

  it("finds nothing where there is nothing", async () => {
    const candidate = parseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-name");
    expect(
      await scanReferences([Buffer.from("0123456789abcdfghijklmnpqrsvwxy-z"), new Uint8Array(0)], [candidate]),
    ).toEqual([]);
    expect(await scanReferences([Buffer.from("anything")], [])).toEqual([]);
  });
});
