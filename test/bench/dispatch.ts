// 200 trivial derivations over 4 SSH builders, beside Nix's own remote builds on the same builders and Nix alone on this machine; and the
// same with a round trip of 50 ms. Whole processes are timed: start, evaluation, logins, builds, results.
import { performance } from "node:perf_hooks";
import { type Client, createClient, PROGRAM } from "../e2e/client.ts";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath, standInNixpkgs } from "../support/nixpkgs.ts";
import { successful } from "../support/processes.ts";
import { type Measurement, median } from "./support/measurement.ts";

const COUNT = 200;
const BUILDERS = 4;
const SLOTS = 2;
const FAR_SLOTS = 4;
/** Each way. */
const FAR_MS = 25;
const ROUNDS = 3;

/** Derivations of one round, which no store has yet, and one that needs them all. */
function expression(round: string): string {
  return `let
    pkgs = import <nixpkgs> { };
    one = number: derivation {
      name = "trivial-${round}-\${toString number}"; system = builtins.currentSystem;
      builder = "\${pkgs.busybox}/bin/sh"; args = [ "-c" "echo \${toString number} > $out" ];
    };
  in { all = builtins.genList one ${COUNT}; }`;
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  const [generation] = await nixGenerations();
  if (generation === undefined || busyboxPath() === null) return [];
  await using fleet = await startBuilders(Array.from({ length: BUILDERS }, () => ({ generation })));
  await using client = await createClient(fleet, { generation });
  return await compare(fleet, client, generation.version);
}

async function compare(fleet: Fleet, client: Client, version: string): Promise<Measurement[]> {
  const env = { ...fleet.env, NIX_PATH: `nixpkgs=${await standInNixpkgs()}` };
  const machines = fleet.machines({ maxJobs: SLOTS });
  const timeoutMs = 300_000;
  const nixBuild = async (round: string, ...flags: readonly string[]): Promise<number> => {
    const file = client.write(`${round}.nix`, expression(round));
    return milliseconds(async () => {
      const words = [file, "-A", "all", "--no-out-link", ...flags];
      await client.instance.output("nix-build", words, { env, cwd: "/homes/root", timeoutMs });
    });
  };
  const ourBuild = async (round: string): Promise<number> => {
    const file = client.write(`${round}.nix`, expression(round));
    return milliseconds(async () => {
      const words = ["-f", file, "all", "--no-out-link", "-j0", "--builders", machines, "--ui", "plain"];
      successful(["tsbuild-top"], await client.run(words, { timeoutMs }));
    });
  };
  const farBuild = async (round: string, delayMs: number): Promise<number> => {
    const file = client.write(`${round}.nix`, expression(round));
    return milliseconds(async () => {
      const script = "/checkout/test/bench/support/delayed-build.ts";
      const words = [script, `${delayMs}`, file, "all", fleet.machines({ maxJobs: FAR_SLOTS })];
      await client.instance.output(PROGRAM[0], words, { env, cwd: "/homes/root", timeoutMs });
    });
  };

  // Everything is there and warm for all of them: inputs on the builders, compiled modules, hot files.
  await ourBuild("warm");
  const ours: number[] = [];
  const local: number[] = [];
  const far: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(await ourBuild(`ours-${round}`));
    local.push(await nixBuild(`local-${round}`, "-j4", "--builders", ""));
    far.push(await farBuild(`far-${round}`, FAR_MS));
  }
  // Minutes, not seconds: once is enough.
  const remote = await nixBuild("remote", "-j0", "--builders", machines);

  const [own, alone, away] = [median(ours), median(local), median(far)];
  const faster = remote / own;
  const asLong = own / alone;
  const each = away / COUNT;
  const what = `${COUNT} builds over ${BUILDERS} builders (Nix ${version})`;
  return [
    {
      what: `${what}, ${SLOTS} slots each`,
      ours: `${(own / 1000).toFixed(2)} s`,
      peer: `nix-build, same builders ${(remote / 1000).toFixed(1)} s`,
      ratio: `${faster.toFixed(1)} x faster`,
      bar: ">= 25 x",
      met: faster >= 25,
    },
    {
      what: `${what}, ${SLOTS} slots each`,
      ours: `${(own / 1000).toFixed(2)} s`,
      peer: `nix-build -j4, no builder ${(alone / 1000).toFixed(2)} s`,
      ratio: `${asLong.toFixed(2)} x the time`,
      bar: "<= 1.5 x",
      met: asLong <= 1.5,
    },
    {
      what: `${what}, ${FAR_SLOTS} slots each, ${2 * FAR_MS} ms away`,
      ours: `${each.toFixed(1)} ms a build`,
      peer: `without the distance ${(own / COUNT).toFixed(1)} ms`,
      ratio: `${(away / own).toFixed(2)} x the time`,
      bar: "<= 15 ms a build",
      met: each <= 15,
    },
  ];
}
