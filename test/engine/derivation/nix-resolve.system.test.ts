// Resolving beside real Nix: it builds what depends on contents, and we must come to the derivations and realisation ids it recorded.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Derivation } from "../../../src/engine/derivation/derivation.ts";
import {
  createInputHashes,
  derivationStorePath,
  hashDerivationModulo,
  realisationId,
  statedOutputPaths,
} from "../../../src/engine/derivation/hash-modulo.ts";
import { parseDerivation } from "../../../src/engine/derivation/parse.ts";
import { chainedLookup, needsResolving, resolveDerivation } from "../../../src/engine/derivation/resolve.ts";
import { derivationNameOf, nameOf, parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { atLeast, type NixGeneration, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { generatorFeatures, storedDerivations } from "./generate.ts";

const generations = await nixGenerations();

describe.each(generations)("resolving as Nix $version does", (generation) => {
  let instance: NixInstance;

  afterAll(() => instance.remove());

  it("finds the resolved derivations and realisation ids of a build", async () => {
    instance = await prepared(generation);
    await instance.output("nix-build", ["--no-out-link", "/nix/resolvable.nix"]);
    const { derivations, realisations } = look(instance);
    let resolved = 0;
    for (const [path, derivation] of derivations) {
      if (!needsResolving(derivation)) continue;
      const resolution = resolveDerivation(derivation, lookupOf(derivations, realisations));
      if (resolution.type !== "resolved") throw new Error(`${path}: '${resolution.outputName}' is missing`);
      const basic = { ...resolution.derivation, inputDrvs: new Map() };
      expect([...derivations.keys()], nameOf(path)).toContain(derivationStorePath(basic));
      resolved++;
    }
    expect(resolved).toBe(4);
    const inputHashes = createInputHashes((path) => derivations.get(path)!);
    for (const derivation of derivations.values()) {
      const modulo = hashDerivationModulo(derivation, inputHashes, true);
      for (const [name, output] of derivation.outputs) {
        if (output.type === "floating") expect([...realisations.keys()]).toContain(realisationId(modulo, name));
      }
    }
  });

  // Older ones know no such derivations: there is nothing to compare with.
  if (!atLeast(generation, "2.34")) return;
  it("finds the resolved derivation that needs an output of a derivation's output", async () => {
    const paths = await instance.output("nix-build", [
      "--no-out-link",
      "/nix/resolvable.nix",
      "--arg",
      "dynamic",
      "true",
    ]);
    const { derivations, realisations } = look(instance);
    // The store holds two of that name, before and after resolving.
    const derivation = [...derivations.values()].find(
      ({ name, inputDrvs }) => name === "needs-made" && inputDrvs.size > 0,
    )!;
    expect(needsResolving(derivation)).toBe(true);
    const resolution = resolveDerivation(derivation, lookupOf(derivations, realisations));
    if (resolution.type !== "resolved") throw new Error(`'${resolution.outputName}' is missing`);
    const resolvedPath = derivationStorePath({ ...resolution.derivation, inputDrvs: new Map() });
    expect([...derivations.keys()]).toContain(resolvedPath);
    expect(Object.fromEntries(statedOutputPaths(resolution.derivation))).toEqual({ out: paths });
  });
});

async function prepared(generation: NixGeneration): Promise<NixInstance> {
  const instance = await createInstance(generation, { conf: generatorFeatures(generation) });
  const expression = readFileSync(fileURLToPath(new URL("fixtures/resolvable.nix", import.meta.url)));
  writeFileSync(join(instance.directory, "nix/resolvable.nix"), expression);
  return instance;
}

/** What the store holds: its derivations, and what outputs turned out to be by realisation id. */
function look(instance: NixInstance) {
  const derivations = new Map<StorePath, Derivation>();
  for (const [path, bytes] of storedDerivations(instance)) {
    derivations.set(path, parseDerivation(bytes, derivationNameOf(path)));
  }
  const database = new DatabaseSync(join(instance.directory, "nix/var/nix/db/db.sqlite"), { readOnly: true });
  const rows = database
    .prepare(
      "select r.drvPath || '!' || r.outputName as id, v.path from Realisations r join ValidPaths v on v.id = r.outputPath",
    )
    .all();
  database.close();
  const realisations = new Map(rows.map((row) => [`${row.id}`, parseStorePath(`${row.path}`)]));
  return { derivations, realisations };
}

function lookupOf(derivations: ReadonlyMap<StorePath, Derivation>, realisations: ReadonlyMap<string, StorePath>) {
  const inputHashes = createInputHashes((path) => derivations.get(path)!);
  return chainedLookup((drvPath) => {
    const derivation = derivations.get(drvPath);
    if (derivation === undefined) return null;
    const paths = statedOutputPaths(derivation);
    const modulo = hashDerivationModulo(derivation, inputHashes, true);
    for (const [name, path] of paths) {
      if (path === null) paths.set(name, realisations.get(realisationId(modulo, name)) ?? null);
    }
    return paths;
  });
}
