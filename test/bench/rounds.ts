// What a further round of a derivation costs on the machine that built it, over SSH, beside what the same build costs that machine's own Nix:
// `--repeat` where it has it (2.8), else check builds one after the other. Whole runs with many rounds are timed, less runs with one.
import { performance } from "node:perf_hooks";
import { type Client, createClient } from "../e2e/client.ts";
import { type Builder, startBuilders } from "../support/builders.ts";
import { atLeast, nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { successful } from "../support/processes.ts";
import { type Measurement, median } from "./support/measurement.ts";

const ROUNDS = 21;
const TURNS = 5;
/** How long the builder program takes, at least. */
const BUILD_MS = 50;
const BAR_MS = 15;

/** `numbers` derivations of one output that no store has yet. */
function expression(name: string, numbers = 1): string {
  return `let
    pkgs = import <nixpkgs> { };
    one = number: derivation {
      name = "${name}-\${toString number}"; system = builtins.currentSystem;
      builder = "\${pkgs.busybox}/bin/busybox";
      args = [ "sh" "-c" "\${pkgs.busybox}/bin/busybox usleep ${BUILD_MS * 1000}; echo ${name} > $out" ];
    };
  in builtins.genList one ${numbers}`;
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  const generations = await nixGenerations();
  if (generations.length === 0 || busyboxPath() === null) return [];
  await using fleet = await startBuilders(generations.map((generation) => ({ generation })));
  await using client = await createClient(fleet, { generation: generations[0]! });
  const measurements: Measurement[] = [];
  for (const builder of fleet.builders) measurements.push(await compare(client, builder));
  return measurements;
}

/** Milliseconds a round takes beyond the builder program's own time. */
async function overhead(name: string, run: (name: string, rounds: number) => Promise<number>): Promise<number> {
  const added: number[] = [];
  await run(`${name}-warm`, 2);
  for (let turn = 0; turn < TURNS; turn += 1) {
    const once = await run(`${name}-once-${turn}`, 1);
    const often = await run(`${name}-often-${turn}`, ROUNDS);
    added.push((often - once) / (ROUNDS - 1) - BUILD_MS);
  }
  return median(added);
}

async function compare(client: Client, builder: Builder): Promise<Measurement> {
  const { instance, alias } = builder;
  const env = { NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
  const timeoutMs = 120_000;
  const nixBuild = (...words: readonly string[]): Promise<string> =>
    instance.output("nix-build", [...words, "--no-out-link", "-j1"], { env, timeoutMs });

  const own = await overhead(`rounds-${alias}`, (name, rounds) => {
    const file = client.write(`${name}.nix`, expression(name));
    const machines = ["-j0", "--builders", builder.machineLine()];
    const words = ["-f", file, "--no-out-link", "--ui", "plain", ...machines, "--repeat", `${rounds - 1}`];
    return milliseconds(async () => successful(["tsbuild-top"], await client.run(words, { timeoutMs })));
  });
  // Nix dropped `repeat` in 2.13.
  const repeats = !atLeast(instance.generation, "2.13");
  const peer = await overhead(`peer-${alias}`, async (name, rounds) => {
    if (repeats) return milliseconds(() => nixBuild("-E", expression(name), "--option", "repeat", `${rounds - 1}`));
    const words = ["-E", expression(name, rounds)];
    await nixBuild(...words);
    return milliseconds(() => nixBuild(...words, "--check"));
  });
  const more = own - peer;
  return {
    what: `a further round on a builder over SSH (Nix ${instance.generation.version}), beyond the builder program`,
    ours: `${own.toFixed(1)} ms`,
    peer: `its own ${repeats ? "--repeat" : "--check"} ${peer.toFixed(1)} ms`,
    ratio: `${more.toFixed(1)} ms more`,
    bar: `<= ${BAR_MS} ms more`,
    met: more <= BAR_MS,
  };
}
