import { describe, expect, it } from "vitest";
import type { Derivation, DerivationOutput } from "../../../src/engine/derivation/derivation.ts";
import {
  computeOutputPaths,
  createInputHashes,
  derivationReferences,
  derivationStorePath,
  fillOutputPaths,
  hashDerivationModulo,
  realisationId,
  statedOutputPaths,
  wrongOutputPaths,
} from "../../../src/engine/derivation/hash-modulo.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import { hashBytes, printHash } from "../../../src/engine/formats/hash.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { sampleDerivation, samplePath } from "./samples.ts";

function fixed(name: string, url: string): Derivation {
  const output: DerivationOutput = {
    type: "fixed",
    method: "flat",
    algorithm: "sha256",
    hash: printHash(hashBytes("sha256", "contents"), "hex", false),
    path: samplePath(0, "not-yet-known"),
  };
  const derivation = {
    ...sampleDerivation(name),
    outputs: new Map([["out", output]]),
    env: new Map([[byteStringOf("url"), byteStringOf(url)]]),
  };
  return fillOutputPaths(derivation, none);
}

const none = createInputHashes((path) => {
  throw new Error(`not needed: ${path}`);
});

function needing(...derivations: readonly Derivation[]): { derivation: Derivation; all: Map<StorePath, Derivation> } {
  const all = new Map(derivations.map((derivation) => [derivationStorePath(derivation), derivation]));
  return { derivation: sampleDerivation("top", [...all.keys()]), all };
}

function outOf({ derivation, all }: ReturnType<typeof needing>): StorePath | null {
  return computeOutputPaths(
    derivation,
    createInputHashes((path) => all.get(path)!),
  ).get("out")!;
}

describe("hashes modulo", () => {
  it("are the same wherever a fixed output comes from", () => {
    expect(outOf(needing(fixed("src", "http://a")))).toBe(outOf(needing(fixed("src", "http://b"))));
    expect(outOf(needing(fixed("src", "http://a")))).not.toBe(outOf(needing(fixed("other", "http://a"))));
  });

  it("merge inputs that are the same", () => {
    expect(outOf(needing(fixed("src", "http://a"), fixed("src", "http://b")))).toBe(
      outOf(needing(fixed("src", "http://a"))),
    );
  });

  it("do not depend on the paths they give", () => {
    const filled = fillOutputPaths(sampleDerivation("a"), none);
    const again = fillOutputPaths(filled, none);
    expect(again).toEqual(filled);
    expect(filled.env.get(byteStringOf("out"))).toBe([...statedOutputPaths(filled).values()][0]);
    expect(wrongOutputPaths(filled, none)).toEqual([]);
    const wrong = {
      ...filled,
      outputs: new Map<string, DerivationOutput>([["out", { type: "inputAddressed", path: samplePath(1, "a") }]]),
    };
    expect(wrongOutputPaths(wrong, none)).toEqual([
      { name: "out", stated: samplePath(1, "a"), computed: statedOutputPaths(filled).get("out") },
    ]);
  });

  it("are deferred as soon as anything below is decided by contents", () => {
    const floating: Derivation = {
      ...sampleDerivation("ca"),
      outputs: new Map([["out", { type: "floating", method: "nar", algorithm: "sha256" }]]),
    };
    const { derivation: middle, all } = needing(floating);
    all.set(derivationStorePath(middle), middle);
    const top = sampleDerivation("top", [derivationStorePath(middle)]);
    const hashes = createInputHashes((path) => all.get(path)!);
    expect(hashDerivationModulo(top, hashes, true).type).toBe("deferred");
    expect(computeOutputPaths(top, hashes).get("out")).toBeNull();
    expect(realisationId(hashDerivationModulo(floating, hashes, true), "out")).toMatch(/^sha256:[0-9a-f]{64}!out$/);
  });

  it("of a chain of 20,000 derivations do not exhaust the stack", () => {
    const all = new Map<StorePath, Derivation>();
    let last: StorePath[] = [];
    for (let index = 0; index < 20_000; index++) {
      const path = samplePath(index, "link.drv");
      all.set(path, sampleDerivation("link", last));
      last = [path];
    }
    let loads = 0;
    const hashes = createInputHashes((path) => {
      loads++;
      return all.get(path)!;
    });
    expect(hashes(last[0]!).outputs.get("out")).toMatch(/^[0-9a-f]{64}$/);
    hashes(last[0]!);
    expect(loads).toBe(20_000);
  });

  it("name what is missing or runs in a circle", () => {
    const derivation = sampleDerivation("a", [samplePath(1, "b.drv")]);
    const otherOutput = createInputHashes(() => ({
      ...sampleDerivation("b"),
      outputs: new Map([["dev", { type: "deferred" }]]),
    }));
    expect(() => hashDerivationModulo(derivation, otherOutput, true)).toThrow("needs the output 'out' of");
    const circle = createInputHashes(() => derivation);
    expect(() => circle(samplePath(2, "a.drv"))).toThrow(expect.objectContaining({ code: "DRV_CYCLE" }));
  });

  it("list what the file refers to", () => {
    const derivation = {
      ...sampleDerivation("a", [samplePath(2, "b.drv")]),
      inputSrcs: new Set([samplePath(3, "c"), samplePath(1, "d")]),
    };
    expect(derivationReferences(derivation)).toEqual([samplePath(1, "d"), samplePath(2, "b.drv"), samplePath(3, "c")]);
  });
});
