// 500 trivial builds by the embedded executor beside the same ones by Nix, two at a time, both sandboxed, in the same run.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { systemClock } from "../../src/engine/base/clock.ts";
import { parseDerivation } from "../../src/engine/derivation/parse.ts";
import { derivationNameOf, parseStorePath, type StorePath } from "../../src/engine/formats/store-path.ts";
import { openEmbeddedStore } from "../../src/engine/stores/embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS } from "../../src/engine/stores/embedded/settings.ts";
import type { BuildReporter } from "../../src/engine/stores/store.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance } from "../support/nix-instance.ts";
import { type Measurement, median } from "./support/measurement.ts";

const COUNT = 500;
const ROUNDS = 3;
const AT_ONCE = 2;
const SHELL = "/usr/bin/busybox";

const silent: BuildReporter = {
  started: () => undefined,
  phase: () => undefined,
  logged: () => undefined,
  noticed: () => undefined,
};

/** The expression of one round's builds; another round makes others. */
function expression(round: string): string {
  return `builtins.genList (i: derivation {
    name = "trivial-${round}-\${toString i}"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo $name > $out" ];
  }) ${COUNT}`;
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  const [generation] = await nixGenerations();
  if (generation === undefined) return [];
  await using instance = await createInstance(generation, {
    name: "bench-executor",
    sandbox: true,
    conf: `sandbox-paths = /bin/sh=${SHELL}`,
  });
  const settings = { ...DEFAULT_EMBEDDED_SETTINGS, system: "x86_64-linux" };
  const store = await openEmbeddedStore({
    root: instance.directory,
    clock: systemClock,
    random: Math.random,
    settings,
    substituters: [],
  });
  const instantiate = async (round: string): Promise<StorePath[]> => {
    const file = join(instance.directory, "homes", "root", `${round}.nix`);
    writeFileSync(file, expression(round));
    const drvs = await instance.output("nix-instantiate", [`/homes/root/${round}.nix`], { timeoutMs: 120_000 });
    return drvs.split("\n").map(parseStorePath);
  };

  const options = { keepFailed: false, maxSilentTime: 0, timeout: 0, maxLogSize: 0n, cores: null, keepCheck: false };
  const buildAll = async (drvs: readonly StorePath[]): Promise<void> => {
    const left = [...drvs];
    const worker = async (): Promise<void> => {
      for (let drvPath = left.pop(); drvPath !== undefined; drvPath = left.pop()) {
        const derivation = parseDerivation(readFileSync(instance.hostPath(drvPath)), derivationNameOf(drvPath));
        const request = { drvPath, derivation, mode: "normal", options } as const;
        const { result } = await store.build(request, silent, new AbortController().signal);
        if (result.status !== "Built") throw new Error(`${drvPath}: ${result.status} ${result.errorMessage}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  };

  const ours: number[] = [];
  const theirs: number[] = [];
  try {
    await buildAll((await instantiate("warm")).slice(0, 20));
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await instantiate(`ours${round}`);
      let start = performance.now();
      await buildAll(mine);
      ours.push(performance.now() - start);
      const drvs = await instantiate(`nix${round}`);
      start = performance.now();
      await instance.output("nix-store", ["--realise", "--quiet", "-j", `${AT_ONCE}`, ...drvs], { timeoutMs: 300_000 });
      theirs.push(performance.now() - start);
    }
  } finally {
    await store.close();
  }
  const factor = median(ours) / median(theirs);
  return [
    {
      what: `${COUNT} trivial local builds, ${AT_ONCE} at once`,
      ours: `${(median(ours) / 1000).toFixed(2)} s`,
      peer: `nix-store --realise -j${AT_ONCE} (${generation.version}) ${(median(theirs) / 1000).toFixed(2)} s`,
      ratio: `${factor.toFixed(2)} x the time`,
      bar: "<= 1.5 x",
      met: factor <= 1.5,
    },
  ];
}
