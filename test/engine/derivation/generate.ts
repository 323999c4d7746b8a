// Has a real Nix instantiate derivations of every form it knows, and reads the `.drv` files back.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { atLeast, type NixGeneration } from "../../support/nix-generations.ts";
import type { NixInstance } from "../../support/nix-instance.ts";

/** Experimental features for nix.conf that the generator's forms need in that generation. */
export function generatorFeatures(generation: NixGeneration): string {
  const features = ["nix-command", "ca-derivations", "impure-derivations"];
  if (atLeast(generation, "2.26")) features.push("dynamic-derivations", "git-hashing");
  if (atLeast(generation, "2.34")) features.push("blake3-hashes");
  return `experimental-features = ${features.join(" ")}`;
}

/** Instantiates `count` derivations on the instance and returns the bytes of every `.drv` file in its store. */
export async function generateDerivations(instance: NixInstance, count: number): Promise<Map<StorePath, Buffer>> {
  const isNew = atLeast(instance.generation, "2.26");
  // Every byte but NUL, which Nix strings cannot hold.
  writeFileSync(join(instance.directory, "nix/odd"), Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1)));
  const expression = readFileSync(fileURLToPath(new URL("fixtures/derivations.nix", import.meta.url)));
  writeFileSync(join(instance.directory, "nix/derivations.nix"), expression);
  const isNewest = atLeast(instance.generation, "2.34");
  const args = { count, dynamic: isNew, git: isNew, gitSha256: isNewest, impure: true, blake3: isNewest };
  await instance.output(
    "nix-instantiate",
    [
      "/nix/derivations.nix",
      ...["--arg", "oddBytes", "/nix/odd"],
      ...Object.entries(args).flatMap(([name, value]) => ["--arg", name, `${value}`]),
    ],
    { timeoutMs: 120_000 },
  );
  return storedDerivations(instance);
}

/** The bytes of every `.drv` file in the instance's store. */
export function storedDerivations(instance: NixInstance): Map<StorePath, Buffer> {
  const derivations = new Map<StorePath, Buffer>();
  for (const name of readdirSync(instance.hostPath("/nix/store"))) {
    if (!name.endsWith(".drv")) continue;
    const path = parseStorePath(`/nix/store/${name}`);
    derivations.set(path, readFileSync(instance.hostPath(path)));
  }
  return derivations;
}
