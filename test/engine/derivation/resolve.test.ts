import { describe, expect, it } from "vitest";
import type { Derivation } from "../../../src/engine/derivation/derivation.ts";
import { downstreamPlaceholder, outputPlaceholder } from "../../../src/engine/derivation/placeholders.ts";
import { chainedLookup, needsResolving, resolveDerivation } from "../../../src/engine/derivation/resolve.ts";
import { byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import { sampleDerivation, samplePath } from "./samples.ts";

const producer = samplePath(1, "producer.drv");
const made = samplePath(2, "made.drv");
const own = samplePath(3, "own");
const inner = samplePath(4, "inner");
const table = new Map([
  [
    producer,
    new Map([
      ["out", own],
      ["made", made],
    ]),
  ],
  [made, new Map([["dev", inner]])],
]);
const lookup = chainedLookup((drvPath) => table.get(drvPath) ?? null);

const derivation: Derivation = {
  ...sampleDerivation("top"),
  inputDrvs: new Map([
    [
      producer,
      { outputs: new Set(["out"]), dynamic: new Map([["made", { outputs: new Set(["dev"]), dynamic: new Map() }]]) },
    ],
  ]),
  builder: downstreamPlaceholder(producer, "out"),
  args: [
    byteStringOf(`-I${downstreamPlaceholder({ drvPath: producer, output: "made" }, "dev")}/include`),
    byteStringOf("plain"),
  ],
  env: new Map([
    [byteStringOf("out"), byteStringOf("")],
    [byteStringOf("self"), outputPlaceholder("out")],
    [
      byteStringOf("twice"),
      byteStringOf(`${downstreamPlaceholder(producer, "out")}:${downstreamPlaceholder(producer, "out")}`),
    ],
  ]),
};

describe("resolving", () => {
  it("puts paths in the place of placeholders and of input derivations", () => {
    const resolution = resolveDerivation(derivation, lookup);
    if (resolution.type !== "resolved") throw new Error("not resolved");
    const resolved = resolution.derivation;
    expect("inputDrvs" in resolved).toBe(false);
    expect([...resolved.inputSrcs]).toEqual([own, inner]);
    expect(resolved.builder).toBe(own);
    expect(resolved.args).toEqual([`-I${inner}/include`, "plain"]);
    expect(resolved.env.get(byteStringOf("twice"))).toBe(`${own}:${own}`);
    expect(resolved.env.get(byteStringOf("self"))).toBe(outputPlaceholder("out"));
    const output = resolved.outputs.get("out")!;
    expect(output.type === "inputAddressed" && output.path).toBe(resolved.env.get(byteStringOf("out")));
  });

  it("names the first output that has no path yet", () => {
    expect(resolveDerivation(derivation, () => null)).toEqual({
      type: "missing",
      drvPath: producer,
      outputName: "out",
    });
    const outer = chainedLookup((drvPath) => (drvPath === producer ? table.get(producer)! : null));
    expect(resolveDerivation(derivation, outer)).toEqual({
      type: "missing",
      drvPath: { drvPath: producer, output: "made" },
      outputName: "dev",
    });
  });

  it("is needed exactly where paths are not known before", () => {
    expect(needsResolving(derivation)).toBe(true);
    expect(needsResolving(sampleDerivation("a"))).toBe(false);
    const known: Derivation = {
      ...sampleDerivation("a", [producer]),
      outputs: new Map([["out", { type: "inputAddressed", path: own }]]),
    };
    expect(needsResolving(known)).toBe(false);
    expect(needsResolving({ ...known, inputDrvs: derivation.inputDrvs })).toBe(true);
  });

  it("uses Nix's placeholders", () => {
    // What builtins.placeholder "out" gives.
    expect(outputPlaceholder("out")).toBe("/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
  });
});
