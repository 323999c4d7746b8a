// Filling and reading a binary cache over HTTP beside `nix copy` on the same server with the same compression: 500 small paths, and
// 1 GiB. What is measured is the way to a cache over a network, so the server takes its time to answer; without that it is only told.
import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../support/nix-instance.ts";
import { noise } from "../support/noise.ts";
import { type ObjectServer, startObjectServer } from "../support/object-server.ts";
import { ended } from "../support/processes.ts";
import { removeDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { type Measurement, median } from "./support/measurement.ts";

const MIB = 1024 * 1024;
const SMALL_PATHS = 500;
const SMALL_ROUNDS = 3;
const LARGE_BYTES = 1024 * MIB;
const LARGE_ROUNDS = 2;
/** A cache is seldom on the same machine: what its answers take (ms) where it is in the same country. */
const NETWORK_MS = 10;
/** Memory (bytes) a copy of 1 GiB may take: it does not grow with what is copied. */
const MEMORY_BAR = 400 * MIB;

const program = [`/checkout/node_modules/node-linux-${process.arch}/bin/node`, "/checkout/bin/tsbuild-top.js"] as const;

/** Half of it can be packed. */
function writeLarge(path: string): void {
  const file = openSync(path, "w");
  const zeros = Buffer.alloc(MIB, "packable ");
  for (let at = 0; at < LARGE_BYTES; at += 2 * MIB) {
    writeSync(file, noise(MIB, at + 1));
    writeSync(file, zeros);
  }
  closeSync(file);
}

interface Timed {
  readonly ms: number;
  /** Most memory the process had, in bytes. */
  readonly memory: number;
}

/** Runs a program on the machine to its end. */
async function timed(instance: NixInstance, words: readonly string[]): Promise<Timed> {
  const [command = "", ...args] = words;
  const start = performance.now();
  const child: ChildProcess = instance.spawn(command, args);
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4000);
  });
  child.stdout?.resume();
  let memory = 0;
  const look = setInterval(() => {
    memory = Math.max(memory, peakMemory(child.pid ?? 0));
  }, 20);
  await ended(child);
  clearInterval(look);
  const ms = performance.now() - start;
  if (child.exitCode !== 0) throw new Error(`${words.slice(0, 6).join(" ")}: ${child.exitCode}\n${complaint}`);
  return { ms, memory };
}

function peakMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

interface Subject {
  readonly what: string;
  readonly compression: string;
  readonly paths: readonly string[];
  readonly rounds: number;
  /** Milliseconds the server takes to answer. */
  readonly delayMs: number;
  /** How many times as fast as Nix it must be, null where that is only told. */
  readonly bar: number | null;
}

interface Bench {
  readonly instance: NixInstance;
  readonly server: ObjectServer;
  /** Says how long the server is to take. */
  readonly delay: (ms: number) => void;
  readonly directory: string;
  readonly source: string;
}

let places = 0;

async function compare(bench: Bench, subject: Subject): Promise<Measurement[]> {
  const { instance, server, directory, source } = bench;
  bench.delay(subject.delayMs);
  const times = { ours: [] as Timed[], nix: [] as Timed[], oursFetch: [] as Timed[], nixFetch: [] as Timed[] };
  for (let round = 0; round < subject.rounds; round++) {
    const place = ++places;
    const url = (who: string): string => `${server.url}/${who}-${place}`;
    const write = (who: string): string => `${url(who)}?compression=${subject.compression}`;
    const target = (who: string): string => join(directory, `read-${who}-${place}`);
    const { paths } = subject;
    times.nix.push(await timed(instance, ["nix", "copy", "--from", source, "--to", write("nix"), ...paths]));
    times.ours.push(await timed(instance, [...program, "copy", "--from", source, "--to", write("ours"), ...paths]));
    // Each reads what the other has written.
    const fetch = (from: string, to: string): string[] => [
      "copy",
      "--from",
      from,
      "--to",
      to,
      "--no-check-sigs",
      ...paths,
    ];
    times.nixFetch.push(await timed(instance, ["nix", ...fetch(url("ours"), target("nix"))]));
    times.oursFetch.push(await timed(instance, [...program, ...fetch(url("nix"), target("ours"))]));
    for (const who of ["nix", "ours"]) {
      removeDirectory(target(who));
      removeDirectory(join(directory, "served", `${who}-${place}`));
    }
  }
  const line = (verb: string, ours: readonly Timed[], nix: readonly Timed[]): Measurement => {
    const own = median(ours.map(({ ms }) => ms));
    const peer = median(nix.map(({ ms }) => ms));
    return {
      what: `${verb} ${subject.what}, ${subject.compression}, ${subject.delayMs} ms`,
      ours: `${(own / 1000).toFixed(2)} s`,
      peer: `nix copy (${instance.generation.version}) ${(peer / 1000).toFixed(2)} s`,
      ratio: `${(peer / own).toFixed(1)} x faster`,
      bar: subject.bar === null ? "-" : `>= ${subject.bar} x`,
      met: subject.bar === null || peer / own >= subject.bar,
    };
  };
  const measurements = [line("upload", times.ours, times.nix), line("fetch", times.oursFetch, times.nixFetch)];
  if (subject.paths.length > 1) return measurements;
  for (const [verb, ours, nix] of [
    ["upload", times.ours, times.nix],
    ["fetch", times.oursFetch, times.nixFetch],
  ] as const) {
    const own = Math.max(...ours.map(({ memory }) => memory));
    const peer = Math.max(...nix.map(({ memory }) => memory));
    measurements.push({
      what: `memory of that ${verb}`,
      ours: `${Math.round(own / MIB)} MiB`,
      peer: `nix copy ${Math.round(peer / MIB)} MiB`,
      ratio: `${(own / peer).toFixed(1)} x as much`,
      bar: `<= ${MEMORY_BAR / MIB} MiB`,
      met: own <= MEMORY_BAR,
    });
  }
  return measurements;
}

/** Empty where there is no Nix to compare with. */
export async function measure(): Promise<readonly Measurement[]> {
  const generation = (await nixGenerations()).at(-1);
  if (generation === undefined) return [];
  const directory = temporaryDirectory("bench-cache");
  const instance = await createInstance(generation);
  let delayMs = 0;
  const server = await startObjectServer({ directory: join(directory, "served"), delayMs: () => delayMs });
  const delay = (ms: number): void => {
    delayMs = ms;
  };
  try {
    const source = join(directory, "source");
    const files = join(directory, "files");
    mkdirSync(files);
    const smallFiles = Array.from({ length: SMALL_PATHS }, (_, index) => {
      const file = join(files, `small-${index}`);
      writeFileSync(file, `${index} `.repeat(100 + ((index * 37) % 3000)));
      return file;
    });
    const large = join(files, "large");
    writeLarge(large);
    const add = async (names: readonly string[]): Promise<string[]> =>
      (await instance.output("nix-store", ["--store", source, "--add", ...names])).split("\n");
    const smallPaths = await add(smallFiles);
    const largePaths = await add([large]);
    const bench: Bench = { instance, server, delay, directory, source };
    // The first start of the program fills its compile cache.
    await timed(instance, [...program, "--version"]);
    const small = { what: `${SMALL_PATHS} small paths`, paths: smallPaths, rounds: SMALL_ROUNDS };
    const big = { what: "1 GiB", paths: largePaths, rounds: LARGE_ROUNDS, bar: 1 };
    return [
      ...(await compare(bench, { ...small, compression: "xz", delayMs: NETWORK_MS, bar: 2 })),
      ...(await compare(bench, { ...small, compression: "zstd", delayMs: NETWORK_MS, bar: 2 })),
      ...(await compare(bench, { ...small, compression: "zstd", delayMs: 0, bar: null })),
      ...(await compare(bench, { ...big, compression: "zstd", delayMs: NETWORK_MS })),
      ...(await compare(bench, { ...big, compression: "none", delayMs: NETWORK_MS })),
    ];
  } finally {
    await server.stop();
    await instance.remove();
    removeDirectory(directory);
  }
}
