// Copies between two stores beside `nix copy` over the same sshd: 500 small paths, and one of 1 GiB with the memory it takes.
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type Client, createClient, PROGRAM } from "../e2e/client.ts";
import { type Fleet, startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { busyboxPath } from "../support/nixpkgs.ts";
import { noise } from "../support/noise.ts";
import { type Measurement, median } from "./support/measurement.ts";

const MIB = 1024 * 1024;
const SMALL_PATHS = 500;
const BIG = 1024 * MIB;
const ROUNDS = 3;
/** What streaming takes whatever the size; the big path is four times as large. */
const MEMORY_BAR = 256;

/** Tells the most memory a Node took (KiB) when it ends. */
const TELL_MEMORY =
  "data:text/javascript,process.on('exit',()=>process.stderr.write('maxRSS='+process.resourceUsage().maxRSS))";

interface Copied {
  readonly ms: number;
  readonly maxRssMiB: number;
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  const [generation] = await nixGenerations();
  if (generation === undefined || busyboxPath() === null) return [];
  await using fleet = await startBuilders([{ generation }]);
  await using client = await createClient(fleet, { generation });
  const small = await comparison(fleet, client, await makeSmall(client));
  const big = await comparison(fleet, client, [await makeBig(client)]);
  return [
    row(`copy ${SMALL_PATHS} small paths`, small, generation.version),
    row("copy one path of 1 GiB", big, generation.version),
    {
      what: "memory for it",
      ours: `${big.maxRssMiB.toFixed(0)} MiB`,
      peer: `${SMALL_PATHS} small paths ${small.maxRssMiB.toFixed(0)} MiB`,
      ratio: `${(big.maxRssMiB / small.maxRssMiB).toFixed(2)} x`,
      bar: `<= ${MEMORY_BAR} MiB`,
      met: big.maxRssMiB <= MEMORY_BAR,
    },
  ];
}

function row(what: string, { ours, theirs }: Comparison, version: string): Measurement {
  const factor = ours / theirs;
  return {
    what,
    ours: `${(ours / 1000).toFixed(2)} s`,
    peer: `nix copy ${version} ${(theirs / 1000).toFixed(2)} s`,
    ratio: `${factor.toFixed(2)} x the time`,
    bar: "<= 1 x",
    met: factor <= 1,
  };
}

interface Comparison {
  readonly ours: number;
  readonly theirs: number;
  readonly maxRssMiB: number;
}

/** Copies in turns into a store that has none of the paths. */
async function comparison(fleet: Fleet, client: Client, paths: readonly string[]): Promise<Comparison> {
  const [builder] = fleet.builders;
  const forget = () => builder!.instance.output("nix-store", ["--delete", ...paths]);
  const env = fleet.env;
  const timeoutMs = 120_000;
  const ours = async (): Promise<Copied> => {
    const [node, program] = PROGRAM;
    const words = [
      "--import",
      TELL_MEMORY,
      program,
      "copy",
      "--quiet",
      "--no-check-sigs",
      "--to",
      builder!.uri,
      ...paths,
    ];
    const start = performance.now();
    const run = await client.instance.run(node, words, { env, timeoutMs });
    const ms = performance.now() - start;
    if (run.status !== 0) throw new Error(`copy: ${run.stderr}`);
    return { ms, maxRssMiB: Number(/maxRSS=(\d+)/.exec(run.stderr)?.[1]) / 1024 };
  };
  const theirs = async (): Promise<number> => {
    const start = performance.now();
    await client.instance.output("nix", ["copy", "--no-check-sigs", "--to", builder!.uri, ...paths], {
      env,
      timeoutMs,
    });
    return performance.now() - start;
  };
  const mine: Copied[] = [];
  const nix: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    mine.push(await ours());
    await forget();
    nix.push(await theirs());
    await forget();
  }
  return {
    ours: median(mine.map(({ ms }) => ms)),
    theirs: median(nix),
    maxRssMiB: Math.max(...mine.map(({ maxRssMiB }) => maxRssMiB)),
  };
}

async function makeSmall(client: Client): Promise<string[]> {
  const expression = `builtins.concatStringsSep "\\n" (builtins.genList (n: builtins.toFile "small-\${toString n}" "text of \${toString n}") ${SMALL_PATHS})`;
  const text = await client.instance.output("nix", ["eval", "--raw", "--expr", expression]);
  return text.split("\n");
}

async function makeBig(client: Client): Promise<string> {
  const path = join(client.instance.directory, "homes/root/big");
  const block = noise(16 * MIB, 1);
  const file = openSync(path, "w");
  for (let at = 0; at < BIG; at += block.length) writeSync(file, block);
  closeSync(file);
  const stored = await client.instance.output("nix-store", ["--add", "/homes/root/big"], { timeoutMs: 120_000 });
  rmSync(path);
  return stored;
}
