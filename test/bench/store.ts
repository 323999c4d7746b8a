// The embedded store's file and database work beside Nix's: dump and restore of 1 GiB and of 20,000 files, registering 10,000 paths;
// and how fast references are looked for.
import { spawn } from "node:child_process";
import { closeSync, createReadStream, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { systemClock } from "../../src/engine/base/clock.ts";
import { hashBytes } from "../../src/engine/formats/hash.ts";
import { makeStorePath } from "../../src/engine/formats/make-store-path.ts";
import type { PathInfo } from "../../src/engine/formats/path-info.ts";
import { ReferenceScanner } from "../../src/engine/formats/references.ts";
import { StoreDatabase } from "../../src/engine/stores/embedded/database/database.ts";
import { registerPaths } from "../../src/engine/stores/embedded/database/register.ts";
import { dumpPath } from "../../src/engine/stores/embedded/files/dump.ts";
import { restorePath } from "../../src/engine/stores/embedded/files/restore.ts";
import { createLayout, layoutOf, realPathOf } from "../../src/engine/stores/embedded/layout.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { noise } from "../support/noise.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { type Measurement, median } from "./support/measurement.ts";

const MIB = 1024 * 1024;
const BIG = 1024 * MIB;
const FILES = 20_000;
const PATHS = 10_000;
const ROUNDS = 3;

function makeBig(path: string): void {
  const block = noise(16 * MIB, 1);
  const file = openSync(path, "w");
  for (let at = 0; at < BIG; at += block.length) writeSync(file, block);
  closeSync(file);
}

function makeMany(path: string): void {
  for (let directory = 0; directory < 100; directory++) {
    mkdirSync(join(path, `directory-${directory}`), { recursive: true });
    for (let file = 0; file < FILES / 100; file++) {
      writeFileSync(join(path, `directory-${directory}`, `file-${file}`), noise(1000 + ((file * 37) % 8000), file + 1));
    }
  }
}

/** Milliseconds of `nix-store` with files as its input and output. */
async function timeNix(args: readonly string[], input: string | null, output: string | null): Promise<number> {
  const source = input === null ? null : openSync(input, "r");
  const target = output === null ? null : openSync(output, "w");
  const start = performance.now();
  const child = spawn("nix-store", args, { stdio: [source ?? "ignore", target ?? "ignore", "inherit"] });
  const status = await new Promise((resolve) => child.once("exit", resolve));
  const time = performance.now() - start;
  for (const descriptor of [source, target]) if (descriptor !== null) closeSync(descriptor);
  if (status !== 0) throw new Error(`nix-store ${args.join(" ")} ended with ${status}`);
  return time;
}

async function timeOurDump(path: string, nar: string): Promise<number> {
  const file = openSync(nar, "w");
  const start = performance.now();
  for await (const chunk of dumpPath(path)) {
    for (let done = 0; done < chunk.length; ) done += writeSync(file, chunk, done);
  }
  const time = performance.now() - start;
  closeSync(file);
  return time;
}

async function timeOurRestore(nar: string, path: string): Promise<number> {
  const start = performance.now();
  await restorePath(createReadStream(nar, { highWaterMark: 256 * 1024 }), path);
  return performance.now() - start;
}

/** Compares the best rounds: what else the machine does only adds to the others. */
function compare(what: string, ours: readonly number[], theirs: readonly number[], peer: string): Measurement {
  const [mine, other] = [Math.min(...ours), Math.min(...theirs)];
  const factor = mine / other;
  return {
    what,
    ours: `${(mine / 1000).toFixed(2)} s`,
    peer: `${peer} ${(other / 1000).toFixed(2)} s`,
    ratio: `${factor.toFixed(2)} x the time`,
    bar: "<= 1.5 x",
    met: factor <= 1.5,
  };
}

async function dumpAndRestore(directory: string, what: string, make: (path: string) => void): Promise<Measurement[]> {
  const tree = join(directory, "tree");
  const nar = join(directory, "nar");
  const copy = join(directory, "copy");
  make(tree);
  const times: Record<"dump" | "nixDump" | "restore" | "nixRestore", number[]> = {
    dump: [],
    nixDump: [],
    restore: [],
    nixRestore: [],
  };
  for (let round = 0; round < ROUNDS; round++) {
    times.nixDump.push(await timeNix(["--dump", tree], null, nar));
    times.dump.push(await timeOurDump(tree, nar));
    const copies = [`${copy}-nix-${round}`, `${copy}-ours-${round}`] as const;
    // Whoever comes second finds the directory's blocks where the first put them, so they take turns.
    const turns = [
      async () => void times.nixRestore.push(await timeNix(["--restore", copies[0]], nar, null)),
      async () => void times.restore.push(await timeOurRestore(nar, copies[1])),
    ];
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn();
    // A file system may be slow for seconds after many files were deleted, which the next one measured would pay for.
    if (what.startsWith("1 GiB")) for (const path of copies) rmSync(path, { recursive: true });
  }
  for (const path of [tree, nar]) rmSync(path, { recursive: true });
  return [
    compare(`dump ${what}`, times.dump, times.nixDump, "nix-store --dump"),
    compare(`restore ${what} (with store metadata)`, times.restore, times.nixRestore, "nix-store --restore"),
  ];
}

/** Paths each of which refers to some before it. */
function manyInfos(): PathInfo[] {
  const infos: PathInfo[] = [];
  for (let number = 0; number < PATHS; number++) {
    const hash = hashBytes("sha256", `${number}`);
    const references = [1, 7, 100].filter((back) => back <= number).map((back) => infos[number - back]!.path);
    infos.push({
      path: makeStorePath("output:out", hash, `package-${number}`),
      deriver: null,
      narHash: hash.digest,
      narSize: 1000n + BigInt(number),
      references: references.sort(),
      registrationTime: 0n,
      ultimate: false,
      signatures: [],
      contentAddress: null,
    });
  }
  return infos;
}

async function registering(directory: string): Promise<Measurement> {
  const infos = manyInfos();
  const load = infos
    .map((info) => {
      const lines = [
        info.path,
        Buffer.from(info.narHash).toString("hex"),
        `${info.narSize}`,
        "",
        `${info.references.length}`,
      ];
      return [...lines, ...info.references].map((line) => `${line}\n`).join("");
    })
    .join("");
  const listing = join(directory, "registrations");
  writeFileSync(listing, load);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const layout = layoutOf(join(directory, `ours-${round}`));
    createLayout(layout);
    const database = StoreDatabase.open(layout, systemClock, Math.random);
    const start = performance.now();
    await registerPaths(
      database,
      systemClock,
      infos.map((info) => ({ info, derivationOutputs: new Map() })),
    );
    ours.push(performance.now() - start);
    database.close();
    const other = layoutOf(join(directory, `nix-${round}`));
    createLayout(other);
    for (const { path } of infos) writeFileSync(realPathOf(other, path), "");
    theirs.push(await timeNix(["--load-db", "--quiet", "--store", other.root], listing, null));
  }
  return compare(`register ${PATHS} paths`, ours, theirs, "nix-store --load-db");
}

/** Gigabytes a second of a scan for 500 references through 256 MiB. */
function scanning(): Measurement {
  const candidates = manyInfos()
    .slice(0, 500)
    .map((info) => info.path);
  const chunk = noise(1 * MIB, 3);
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const scanner = new ReferenceScanner(candidates);
    const start = performance.now();
    for (let at = 0; at < 256; at++) scanner.push(chunk);
    rates.push((256 * MIB) / (performance.now() - start) / 1e6);
  }
  return {
    what: "look for 500 references",
    ours: `${median(rates).toFixed(2)} GB/s`,
    peer: "-",
    ratio: "-",
    bar: ">= 0.5 GB/s",
    met: median(rates) >= 0.5,
  };
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  if ((await nixGenerations()).length === 0) return [];
  const directory = temporaryDirectory("bench-store");
  try {
    return [
      ...(await dumpAndRestore(directory, "1 GiB in one file", makeBig)),
      ...(await dumpAndRestore(directory, `${FILES} files`, makeMany)),
      await registering(directory),
      scanning(),
    ];
  } finally {
    removeDirectory(directory);
  }
}
