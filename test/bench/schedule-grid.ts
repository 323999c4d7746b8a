// Our schedule beside Nix's own policy on generated graphs, in virtual time: every shape of graph, set of machines and state of knowledge, many seeds.
//
// usage: node test/bench/schedule-grid.ts [--seeds N] [--sizes 20,200] [--only WORD]… [--worst N]
import { parseArgs } from "node:util";
import type { Measurement } from "./support/measurement.ts";
import { FARMS, KNOWLEDGE, known, LENGTHS, makeFarm, makeGraph, SHAPES } from "./support/schedule-cases.ts";
import { runVirtually } from "./support/virtual-run.ts";

/** One cell: what it is, and our makespan over Nix's for each seed. */
export interface Cell {
  readonly name: string;
  readonly ratios: readonly number[];
}

interface GridOptions {
  readonly seeds: number;
  readonly sizes: readonly number[];
  /** Only cells whose name has all of these words. */
  readonly only: readonly string[];
}

/** Runs the grid. */
export function runGrid({ seeds, sizes, only }: GridOptions): Cell[] {
  const cells = new Map<string, number[]>();
  for (const size of sizes) {
    for (const shape of SHAPES) {
      for (const lengths of LENGTHS) {
        for (const farmName of FARMS) {
          const wanted = KNOWLEDGE.map((knowledge) => ({
            knowledge,
            name: [shape, size, lengths, farmName, knowledge].join(" "),
          })).filter(({ name }) => only.every((word) => name.split(" ").includes(word)));
          if (wanted.length === 0) continue;
          for (let seed = 1; seed <= seeds; seed++) {
            const graph = makeGraph(shape, lengths, size, seed);
            const farm = makeFarm(farmName, seed);
            const run = (options: Parameters<typeof runVirtually>[2]): number =>
              runVirtually(graph.goals, farm.machines, { seed, ...options }, (command) => {
                return graph.work.get(command.goal)! / farm.speeds.get(command.machine)!;
              }).makespanMs;
            const nix = run({ policy: "nix" });
            for (const { knowledge, name } of wanted) {
              const ratios = cells.get(name) ?? [];
              cells.set(name, ratios);
              ratios.push(run(known(knowledge, graph, seed)) / nix);
            }
          }
        }
      }
    }
  }
  return [...cells].map(([name, ratios]) => ({ name, ratios }));
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/**
 * No cell's median above 1.02, all together at most 0.8 (times Nix's makespan). A single run may be behind by bad luck, where nobody could know which
 * build is the long one; how many are behind by more than 1.15 is bounded.
 */
const BARS = { median: 1.02, mean: 0.8, unlucky: 0.03 };
const UNLUCKY = 1.15;

/** Some twenty seconds. */
export async function measure(): Promise<readonly Measurement[]> {
  const cells = runGrid({ seeds: 20, sizes: [20, 60, 200], only: [] });
  const medians = cells.map(({ ratios }) => medianOf(ratios));
  const runs = cells.flatMap(({ ratios }) => ratios);
  const unlucky = runs.filter((ratio) => ratio > UNLUCKY).length / runs.length;
  const line = (what: string, value: number, bar: number): Measurement => ({
    what,
    ours: `${value.toFixed(3)} x`,
    peer: "Nix's policy 1 x",
    ratio: `${(1 / value).toFixed(2)} x sooner`,
    bar: `<= ${bar} x`,
    met: value <= bar,
  });
  return [
    line(`schedule grid, ${cells.length} cells of 20 seeds: the worst median`, Math.max(...medians), BARS.median),
    line("geometric mean of all", geometricMean(runs), BARS.mean),
    {
      what: `share of ${runs.length} runs above ${UNLUCKY} x`,
      ours: `${(100 * unlucky).toFixed(1)} %, the worst ${Math.max(...runs).toFixed(1)} x`,
      peer: "Nix's policy 1 x",
      ratio: "",
      bar: `<= ${100 * BARS.unlucky} %`,
      met: unlucky <= BARS.unlucky,
    },
  ];
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "3" },
      sizes: { type: "string", default: "20,200" },
      only: { type: "string", multiple: true, default: [] },
      worst: { type: "string", default: "25" },
    },
  });
  const sizes = values.sizes.split(",").map(Number);
  const cells = runGrid({ seeds: Number(values.seeds), sizes, only: values.only });
  const runs = cells.flatMap(({ ratios }) => ratios);
  const worst = (order: (cell: Cell) => number) =>
    [...cells].sort((a, b) => order(b) - order(a)).slice(0, Number(values.worst));
  const show = (cell: Cell): string =>
    `  ${medianOf(cell.ratios).toFixed(3)}  ${Math.max(...cell.ratios).toFixed(3)}  ${cell.name}`;
  const lines = [
    `worst medians (median, worst run, cell)`,
    ...worst(({ ratios }) => medianOf(ratios)).map(show),
    "worst runs",
    ...worst(({ ratios }) => Math.max(...ratios)).map(show),
    ...KNOWLEDGE.map((word) => {
      const some = cells.filter(({ name }) => name.endsWith(word)).flatMap(({ ratios }) => ratios);
      return `${word}: geometric mean ${some.length === 0 ? "-" : geometricMean(some).toFixed(3)}`;
    }),
    ...FARMS.map((word) => {
      const some = cells.filter(({ name }) => name.split(" ").includes(word)).flatMap(({ ratios }) => ratios);
      return `${word}: geometric mean ${some.length === 0 ? "-" : geometricMean(some).toFixed(3)}`;
    }),
    `${cells.length} cells, ${runs.length} runs: geometric mean ${geometricMean(runs).toFixed(3)}, medians above ${BARS.median}: ${
      cells.filter(({ ratios }) => medianOf(ratios) > BARS.median).length
    }, runs above ${UNLUCKY}: ${runs.filter((ratio) => ratio > UNLUCKY).length}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
