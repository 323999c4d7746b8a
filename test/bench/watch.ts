// How fast a log of Nix is watched: a million lines made from recorded ones, beside JSON.parse on every line of them; and that memory does not grow.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EngineEvent } from "../../src/engine/events/event.ts";
import { InternalJsonParser } from "../../src/engine/protocols/internal-json/parser.ts";
import { Translator } from "../../src/engine/watch/translate/translator.ts";
import { createBoard } from "../../src/ui/model/board/board.ts";
import { reduce } from "../../src/ui/model/board/reduce.ts";
import { type Measurement, median } from "./support/measurement.ts";

const LINES = 1_000_000;
const ROUNDS = 3;
const CHUNK = 64 * 1024;
const bar = 2;

const recorded = ["2.8", "2.26", "2.34"].map((generation) =>
  readFileSync(fileURLToPath(new URL(`../fixtures/logs/${generation}/ssh-ng.log`, import.meta.url)), "utf8"),
);

/** The recorded logs again and again, each time of other derivations: pieces of about the same size, as they come from a pipe. */
function* pieces(): Generator<Buffer, void, undefined> {
  let lines = 0;
  let waiting: Buffer[] = [];
  let size = 0;
  for (let turn = 0; lines < LINES; turn++) {
    const hash = turn.toString(36).padStart(6, "0");
    const text = recorded[turn % recorded.length]!.replace(/\/nix\/store\/\w{6}/g, `/nix/store/${hash}`);
    lines += text.split("\n").length - 1;
    const bytes = Buffer.from(text);
    waiting.push(bytes);
    size += bytes.length;
    if (size < CHUNK) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  yield Buffer.concat(waiting);
}

function parseOnly(log: readonly Buffer[]): number {
  let count = 0;
  let rest = "";
  for (const piece of log) {
    const lines = (rest + piece.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("@nix ")) continue;
      JSON.parse(line.slice(5));
      count += 1;
    }
  }
  return count;
}

function watch(log: readonly Buffer[], publish: (event: EngineEvent) => void): void {
  const knowledge = { derivation: () => null, expectedMs: () => null };
  const translator = new Translator({ runId: "bench", program: "bench", knowledge, publish });
  const parser = new InternalJsonParser();
  let at = 0;
  for (const piece of log) {
    at += 1;
    for (const line of parser.push(piece)) translator.line(line, at);
  }
  translator.end(null, false, at);
}

export async function measure(): Promise<readonly Measurement[]> {
  const log = [...pieces()];
  const [ours, peers]: [number[], number[]] = [[], []];
  let events = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let start = performance.now();
    watch(log, () => {
      events += 1;
    });
    ours.push(performance.now() - start);
    start = performance.now();
    parseOnly(log);
    peers.push(performance.now() - start);
  }
  if (events === 0) throw new Error("nothing was watched");
  const board = createBoard();
  let seq = 0;
  const start = performance.now();
  watch(log, (event) => reduce(board, { seq: seq++, at: seq, event }));
  const withBoard = performance.now() - start;
  const [own, peer] = [median(ours), median(peers)];
  const ratio = own / peer;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  return [
    {
      what: `${LINES.toLocaleString("en")} lines of internal-json watched`,
      ours: seconds(own),
      peer: `JSON.parse ${seconds(peer)}`,
      ratio: `${ratio.toFixed(2)} x as long`,
      bar: `<= ${bar} x`,
      met: ratio <= bar,
    },
    {
      what: "the same, folded into the board",
      ours: seconds(withBoard),
      peer: `JSON.parse ${seconds(peer)}`,
      ratio: `${(withBoard / peer).toFixed(2)} x as long`,
      bar: "-",
      met: true,
    },
  ];
}
