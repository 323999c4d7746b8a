// How well and how cheaply the scheduler schedules: a real graph of 63,569 nodes on thirty uneven machines in virtual time, beside Nix's own policy
// and the lower bound that no schedule can beat.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { zstdDecompressSync } from "node:zlib";
import type { GoalId, MachineId } from "../../src/engine/events/ids.ts";
import type { GoalSpec, MachineSpec } from "../../src/engine/scheduler/fact.ts";
import type { PlanOptions } from "../../src/engine/scheduler/options.ts";
import { draw, type RandomState } from "../../src/engine/scheduler/random.ts";
import type { Measurement } from "./support/measurement.ts";
import { runVirtually, type VirtualRun } from "./support/virtual-run.ts";

/** Each line `[name, installed KiB, dependencies]`; a build costs KiB / 100 seconds at speed 1, at least 1. */
interface Graph {
  readonly goals: readonly GoalSpec[];
  /** Work in ms at speed 1, by goal. */
  readonly work: ReadonlyMap<GoalId, number>;
}

const fixture = (name: string) => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));

function readGraph(): Graph {
  const lines = zstdDecompressSync(fixture("debian-bookworm-main.jsonl.zst")).toString("utf8").trimEnd().split("\n");
  const rows = lines.map((line) => JSON.parse(line) as [string, number, number[]]);
  const ids = rows.map(([name], index) => `/nix/store/${String(index).padStart(32, "0")}-${name}.drv` as GoalId);
  const needed = new Set(rows.flatMap(([, , inputs]) => inputs));
  const work = new Map<GoalId, number>();
  const goals = rows.map(([name, kib, inputs], index): GoalSpec => {
    const goal = ids[index]!;
    work.set(goal, Math.max(1, kib / 100) * 1000);
    return {
      goal,
      kind: "derivation",
      name,
      system: "x86_64-linux",
      requiredFeatures: [],
      preferLocalBuild: false,
      outputs: ["out"],
      inputs: inputs.map((input) => ids[input]!),
      isTarget: !needed.has(index),
      validity: "missing",
      outputPaths: [],
      addressing: "input",
      check: false,
      rounds: 1,
      inputBytes: 0,
    };
  });
  return { goals, work };
}

function readMachines(): MachineSpec[] {
  const rows = JSON.parse(fixture("machines-30.json").toString("utf8")) as { slots: number; speedFactor: number }[];
  return rows.map(({ slots, speedFactor }, index) => ({
    machine: `m${index}` as MachineId,
    uri: `ssh-ng://m${index}`,
    isLocal: false,
    systems: ["x86_64-linux"],
    slots,
    speedFactor,
    supportedFeatures: [],
    mandatoryFeatures: [],
    buildCores: null,
    cores: null,
  }));
}

/** max(longest chain on the fastest machine, all work on all slots), in ms. */
function lowerBound({ goals, work }: Graph, machines: readonly MachineSpec[]): number {
  const chain = new Map<GoalId, number>();
  let [longest, total] = [0, 0];
  for (const goal of goals) {
    const own = work.get(goal.goal)!;
    const length = own + goal.inputs.reduce((most, input) => Math.max(most, chain.get(input)!), 0);
    chain.set(goal.goal, length);
    longest = Math.max(longest, length);
    total += own;
  }
  const capacity = machines.reduce((sum, machine) => sum + machine.slots * machine.speedFactor, 0);
  return Math.max(longest / Math.max(...machines.map((machine) => machine.speedFactor)), total / capacity);
}

/** Durations known only within a factor: log-normal with sigma = ln 2. */
function noisy(work: ReadonlyMap<GoalId, number>, seed: number): ReadonlyMap<GoalId, number> {
  const state: RandomState = { value: seed };
  const normal = () => Math.sqrt(-2 * Math.log(1 - draw(state))) * Math.cos(2 * Math.PI * draw(state));
  return new Map([...work].map(([goal, ms]) => [goal, ms * Math.exp(Math.LN2 * normal())]));
}

const SEEDS = [1, 2, 3];
const BARS = { known: 1.05, noisy: 1.6, nothing: 2.6, micros: 50, memoryMiB: 400 };

/** The whole benchmark; about a minute. */
export async function measure(): Promise<readonly Measurement[]> {
  const graph = readGraph();
  const machines = readMachines();
  const bound = lowerBound(graph, machines);
  const speeds = new Map(machines.map((machine) => [machine.machine, machine.speedFactor]));
  const run = (options: Partial<PlanOptions>) =>
    runVirtually(graph.goals, machines, { seed: 1, ...options }, (command) => {
      return graph.work.get(command.goal)! / speeds.get(command.machine)!;
    });
  const knowing = (known: ReadonlyMap<GoalId, number>): Partial<PlanOptions> => ({
    durations: (goal, machine) => known.get(goal.goal)! / machine.speedFactor,
  });
  const nix = run({ policy: "nix" });
  const peer = `Nix's policy ${ratio(nix, bound)} x`;
  const own: VirtualRun[] = [];
  const line = (what: string, options: Partial<PlanOptions>, bar: number): Measurement => {
    const result = run(options);
    own.push(result);
    const times = result.makespanMs / bound;
    const ours = `${Math.round(result.makespanMs / 1000)} s`;
    return { what, ours, peer, ratio: `${times.toFixed(3)} x the bound`, bar: `<= ${bar} x`, met: times <= bar };
  };
  const lines = [
    line(`${graph.goals.length} builds, durations known`, knowing(graph.work), BARS.known),
    ...SEEDS.map((seed) => {
      return line(`known within a factor of two, seed ${seed}`, knowing(noisy(graph.work, seed)), BARS.noisy);
    }),
    line("nothing known", {}, BARS.nothing),
  ];
  const micros = Math.max(...own.map((result) => result.microsPerBuild));
  const peak = Math.max(nix.peakMiB, ...own.map((result) => result.peakMiB));
  return [
    ...lines,
    {
      what: "cost of a build's decisions, worst of these",
      ours: `${micros.toFixed(1)} us`,
      peer: `Nix's policy ${nix.microsPerBuild.toFixed(1)} us`,
      ratio: `${(micros / nix.microsPerBuild).toFixed(1)} x as long`,
      bar: `<= ${BARS.micros} us`,
      met: micros <= BARS.micros,
    },
    {
      what: "memory, whole process",
      ours: `${peak.toFixed(0)} MiB`,
      peer: `bound ${Math.round(bound / 1000)} s`,
      ratio: "-",
      bar: `<= ${BARS.memoryMiB} MiB`,
      met: peak <= BARS.memoryMiB,
    },
  ];
}

function ratio(result: VirtualRun, bound: number): string {
  return (result.makespanMs / bound).toFixed(2);
}

if (import.meta.main) {
  const lines = await measure();
  for (const { met, what, ours, peer, ratio: times, bar } of lines) {
    process.stdout.write(`${met ? "ok    " : "MISSED"}  ${what}: ${ours}, ${times} (${bar}); ${peer}\n`);
  }
  process.exitCode = lines.every((each) => each.met) ? 0 : 1;
}
