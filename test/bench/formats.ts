// How fast formats are read: derivations beside Nix itself; by hand (`node test/bench/formats.ts`) the bare rates of NARs, references and graphs.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { Derivation } from "../../src/engine/derivation/derivation.ts";
import { createInputHashes } from "../../src/engine/derivation/hash-modulo.ts";
import { orderByInputs } from "../../src/engine/derivation/order.ts";
import { parseDerivation } from "../../src/engine/derivation/parse.ts";
import { printDerivation } from "../../src/engine/derivation/print.ts";
import { type ByteString, byteStringOf } from "../../src/engine/formats/byte-string.ts";
import { parseNar } from "../../src/engine/formats/nar/read.ts";
import { type NarTree, treeEvents } from "../../src/engine/formats/nar/tree.ts";
import { writeNar } from "../../src/engine/formats/nar/write.ts";
import { NIX32_ALPHABET } from "../../src/engine/formats/nix32.ts";
import { ReferenceScanner } from "../../src/engine/formats/references.ts";
import { derivationNameOf, parseStorePath, type StorePath } from "../../src/engine/formats/store-path.ts";
import { encodeTree } from "../support/nar-tree.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createInstance } from "../support/nix-instance.ts";
import { type Measurement, median } from "./support/measurement.ts";

const MIB = 1024 * 1024;
const CHUNK = 64 * 1024;
const COUNT = 10_000;

/** Bytes that look random and are the same in every run. */
function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 1;
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE((state ^ (state >>> 15)) >>> 0, at);
  }
  return bytes;
}

function storePath(number: number, name: string): StorePath {
  let hash = "";
  let state = number * 2654435761 + 1;
  for (let digit = 0; digit < 32; digit++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    hash += NIX32_ALPHABET[state >>> 27]!;
  }
  return parseStorePath(`/nix/store/${hash}-${name}`);
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
}

/** Runs `work` three times and prints the best rate. */
async function printRate(title: string, amount: number, unit: string, work: () => unknown): Promise<void> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
  }
  const rate = (amount / best) * 1000;
  process.stdout.write(`${title.padEnd(44)} ${Math.round(rate).toLocaleString("en").padStart(12)} ${unit}/s\n`);
}

/** Derivations of usual size: 12 inputs, 30 variables, a script of 2 KiB. */
function derivationTexts(count: number): { name: string; bytes: Uint8Array }[] {
  const script = 'mkdir -p "$out"\n\tcp -r . $out \\\n'.repeat(64);
  return Array.from({ length: count }, (_, number) => {
    const name = `package-${number}`;
    const env = new Map<ByteString, ByteString>();
    for (let variable = 0; variable < 30; variable++)
      env.set(byteStringOf(`variable${variable + 10}`), byteStringOf(storePath(number + variable, "value")));
    env.set(byteStringOf("zscript"), byteStringOf(script));
    const inputs = new Set(
      Array.from({ length: Math.min(12, number) }, (_, back) => storePath(number - 1 - back, "input.drv")),
    );
    const derivation: Derivation = {
      name,
      outputs: new Map([["out", { type: "inputAddressed", path: storePath(number, name) }]]),
      inputDrvs: new Map([...inputs].sort().map((path) => [path, { outputs: new Set(["out"]), dynamic: new Map() }])),
      inputSrcs: new Set([storePath(number, "builder.sh")]),
      platform: "x86_64-linux",
      builder: byteStringOf("/bin/sh"),
      args: [byteStringOf("-e")],
      env,
    };
    return { name, bytes: printDerivation(derivation) };
  });
}

/**
 * 10,000 `.drv` files read, parsed and written as JSON, beside `nix show-derivation` of the same files. Nix on another machine may be any; empty
 * without one.
 */
export async function measure(): Promise<readonly Measurement[]> {
  const [generation] = await nixGenerations();
  if (generation === undefined) return [];
  await using instance = await createInstance(generation);
  const expression = `builtins.genList (i: derivation { name = "p\${toString i}"; system = "x"; builder = "/bin/sh";
    args = [ "-c" "\${toString (builtins.genList (n: "line \\"\${toString n}\\"\\n") 100)}" ]; inputs = builtins.genList (n: builtins.toFile "f\${toString n}" "") 20;
  }) ${COUNT}`;
  const paths = (await instance.output("nix-instantiate", ["--expr", expression])).split("\n").map(parseStorePath);
  const ours: number[] = [];
  const peers: number[] = [];
  for (let round = 0; round < 3; round++) {
    let start = performance.now();
    const parsed = paths.map((path) => parseDerivation(readFileSync(instance.hostPath(path)), derivationNameOf(path)));
    JSON.stringify(parsed.map((derivation) => ({ ...derivation, env: Object.fromEntries(derivation.env) })));
    ours.push(performance.now() - start);
    start = performance.now();
    await instance.output("nix", ["--extra-experimental-features", "nix-command", "show-derivation", ...paths]);
    peers.push(performance.now() - start);
  }
  const [own, peer] = [median(ours), median(peers)];
  return [
    {
      what: `${COUNT.toLocaleString("en")} .drv files parsed`,
      ours: `${own.toFixed(0)} ms`,
      peer: `nix show-derivation ${peer.toFixed(0)} ms`,
      ratio: `${(own / peer).toFixed(2)} x as long`,
      bar: "<= 1.5 x",
      met: own <= 1.5 * peer,
    },
  ];
}

/** Prints the rates. */
export async function run(): Promise<void> {
  const big = encodeTree({ type: "file", executable: false, contents: noise(256 * MIB) });
  await printRate("NAR of one file of 256 MiB, parsed", 256, "MiB", async () => {
    for await (const _ of parseNar(chunksOf(big)));
  });
  const entries = new Map<ByteString, NarTree>();
  for (let index = 0; index < 20_000; index++) {
    entries.set(byteStringOf(`file-${index}`), { type: "file", executable: false, contents: noise(1000) });
  }
  const tree: NarTree = { type: "directory", entries };
  const small = encodeTree(tree);
  await printRate("NAR of 20,000 small files, parsed", 20_000, "files", async () => {
    for await (const _ of parseNar(chunksOf(small)));
  });
  const events = [...treeEvents(tree)];
  await printRate("NAR of 20,000 small files, written", 20_000, "files", async () => {
    for await (const _ of writeNar([events]));
  });

  const candidates = Array.from({ length: 1000 }, (_, number) => storePath(number, "x"));
  const text = Buffer.from("int main(int argc, char **argv) { return 0; } // 0123456789abcdef\n".repeat(1_000_000));
  for (const [title, bytes] of [
    ["random bytes", big],
    ["source text", text],
    ["zeros in digits", Buffer.alloc(64 * MIB, "0")],
  ] as const) {
    await printRate(`references of 1,000 paths in ${title}`, bytes.length / MIB, "MiB", () => {
      const scanner = new ReferenceScanner(candidates);
      for (const chunk of chunksOf(bytes)) scanner.push(chunk);
    });
  }

  const texts = derivationTexts(COUNT);
  await printRate("derivations parsed", texts.length, "drv", () => {
    for (const { name, bytes } of texts) parseDerivation(bytes, name);
  });
  const derivations = texts.map(({ name, bytes }) => parseDerivation(bytes, name));
  await printRate("derivations printed", texts.length, "drv", () => {
    for (const derivation of derivations) printDerivation(derivation);
  });
  const byPath = new Map(derivations.map((derivation, number) => [storePath(number, "input.drv"), derivation]));
  await printRate("derivations hashed modulo", texts.length, "drv", () => {
    const hashes = createInputHashes((path) => byPath.get(path)!);
    for (const path of byPath.keys()) hashes(path);
  });
  const nodes = Array.from({ length: 63_569 }, (_, number) => number);
  const inputsOf = (node: number) =>
    [1, 2, 7, 100].map((back) => Math.floor(node / 1.5) - back).filter((input) => input >= 0);
  await printRate("order of 63,569 nodes", nodes.length, "nodes", () => {
    orderByInputs(nodes, inputsOf);
  });
}

if (import.meta.main) await run();
