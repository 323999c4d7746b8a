// Thousands of `.drv` files by real Nix of every generation: read, written back to the byte, and every path computed again.
import { afterAll, describe, expect, it } from "vitest";
import type { Derivation } from "../../../src/engine/derivation/derivation.ts";
import {
  computeOutputPaths,
  createInputHashes,
  derivationStorePath,
  statedOutputPaths,
} from "../../../src/engine/derivation/hash-modulo.ts";
import { parseDerivationOptions } from "../../../src/engine/derivation/options.ts";
import { parseDerivation } from "../../../src/engine/derivation/parse.ts";
import { printDerivation } from "../../../src/engine/derivation/print.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import { derivationNameOf, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { atLeast, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { generateDerivations, generatorFeatures } from "./generate.ts";

const COUNT = 3000;

const generations = await nixGenerations();

describe.each(generations)("derivations of Nix $version", (generation) => {
  let instance: NixInstance;
  let files: Map<StorePath, Buffer>;
  const derivations = new Map<StorePath, Derivation>();

  afterAll(() => instance.remove());

  it("are all read and written back to the byte", async () => {
    instance = await createInstance(generation, { conf: generatorFeatures(generation) });
    files = await generateDerivations(instance, COUNT);
    expect(files.size).toBeGreaterThanOrEqual(COUNT);
    for (const [path, bytes] of files) {
      const derivation = parseDerivation(bytes, derivationNameOf(path));
      derivations.set(path, derivation);
      expect(Buffer.compare(bytes, printDerivation(derivation)), path).toBe(0);
      expect(derivationStorePath(derivation)).toBe(path);
      parseDerivationOptions(derivation);
    }
  });

  it("hold every form", () => {
    const kinds = new Set<string>();
    for (const derivation of derivations.values()) {
      for (const output of derivation.outputs.values()) {
        kinds.add("method" in output ? `${output.type} ${output.method} ${output.algorithm}` : output.type);
      }
      if (derivation.env.has(byteStringOf("__json"))) kinds.add("structured");
      for (const input of derivation.inputDrvs.values()) if (input.dynamic.size > 0) kinds.add("dynamic");
    }
    for (const algorithm of ["md5", "sha1", "sha256", "sha512"]) {
      expect(kinds).toContain(`fixed flat ${algorithm}`);
      expect(kinds).toContain(`fixed nar ${algorithm}`);
    }
    for (const kind of ["inputAddressed", "deferred", "structured", "floating nar sha256", "floating flat sha512"]) {
      expect(kinds).toContain(kind);
    }
    if (atLeast(generation, "2.26")) {
      for (const kind of ["dynamic", "floating text sha256", "fixed git sha1", "floating git sha1"])
        expect(kinds).toContain(kind);
    }
    if (atLeast(generation, "2.34")) expect(kinds).toContain("fixed nar blake3");
    expect(kinds).toContain("impure nar sha256");
  });

  it("have the output paths that follow from them", async () => {
    const inputHashes = createInputHashes((path) => derivations.get(path)!);
    const known: StorePath[] = [];
    const expected: string[] = [];
    for (const [path, derivation] of derivations) {
      const stated = statedOutputPaths(derivation);
      expect(Object.fromEntries(computeOutputPaths(derivation, inputHashes)), path).toEqual(Object.fromEntries(stated));
      const paths = [...stated.values()].filter((output) => output !== null);
      if (paths.length < stated.size) continue;
      known.push(path);
      expected.push(...paths);
    }
    expect(known.length).toBeGreaterThan(COUNT / 4);
    const answers: string[] = [];
    for (let at = 0; at < known.length; at += 500) {
      const some = await instance.output("nix-store", ["--query", "--outputs", ...known.slice(at, at + 500)]);
      answers.push(...some.split("\n"));
    }
    expect(answers.sort()).toEqual(expected.sort());
  });
});
