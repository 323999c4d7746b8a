// Generated graphs, sets of machines and states of knowledge to schedule in virtual time; the same seed gives the same case.
import type { GoalId, MachineId } from "../../../src/engine/events/ids.ts";
import type { GoalSpec, MachineSpec } from "../../../src/engine/scheduler/plan/fact.ts";
import type { PlanOptions } from "../../../src/engine/scheduler/plan/options.ts";
import { draw, type RandomState } from "../../../src/engine/scheduler/plan/state/random.ts";

export const SHAPES = ["chains", "layers", "forkJoin", "random"] as const;
export const LENGTHS = ["uniform", "logNormal", "heavyTailed"] as const;
export const FARMS = ["laptop", "two", "uneven", "oneFast", "thirty", "twoHundred", "liars"] as const;
export const KNOWLEDGE = ["exact", "factorTwo", "otherBuilds", "wrongByTen", "nothing"] as const;

/** A graph with the true work of each goal, in ms at speed 1. */
export interface Graph {
  readonly goals: readonly GoalSpec[];
  readonly work: ReadonlyMap<GoalId, number>;
}

/** Machines, and how fast each really is: its speed factor is what it claims. */
export interface Farm {
  readonly machines: readonly MachineSpec[];
  readonly speeds: ReadonlyMap<MachineId, number>;
}

export function normal(state: RandomState): number {
  return Math.sqrt(-2 * Math.log(1 - draw(state))) * Math.cos(2 * Math.PI * draw(state));
}

function lengthOf(kind: (typeof LENGTHS)[number], state: RandomState): number {
  switch (kind) {
    case "uniform":
      return 2000 + 4000 * draw(state);
    case "logNormal":
      return 5000 * Math.exp(1.2 * normal(state));
    case "heavyTailed":
      // Pareto, cut where a single build would be the whole run.
      return Math.min(2_000_000, 2000 * (1 - draw(state)) ** (-1 / 1.1));
  }
}

function inputsOf(shape: (typeof SHAPES)[number], index: number, count: number, state: RandomState): number[] {
  switch (shape) {
    case "chains": {
      const chains = Math.max(2, Math.round(Math.sqrt(count)));
      return index >= chains ? [index - chains] : [];
    }
    case "layers": {
      const width = Math.max(2, Math.ceil(count / 5));
      const layer = Math.floor(index / width);
      if (layer === 0) return [];
      return [1, 2].map(() => (layer - 1) * width + Math.floor(draw(state) * width));
    }
    case "forkJoin": {
      // One, ten of it, one of those, and so on.
      const place = index % 11;
      const base = index - place;
      if (place === 0) return index === 0 ? [] : Array.from({ length: 10 }, (_, each) => base - 10 + each);
      return [base];
    }
    case "random": {
      if (index === 0) return [];
      const wanted = Math.floor(3 * draw(state));
      return Array.from({ length: wanted }, () => Math.floor(draw(state) ** 0.5 * index));
    }
  }
}

export function makeGraph(
  shape: (typeof SHAPES)[number],
  lengths: (typeof LENGTHS)[number],
  count: number,
  seed: number,
): Graph {
  const state: RandomState = { value: seed * 7919 + count };
  const ids = Array.from({ length: count }, (_, index) => `/nix/store/${"0".repeat(32)}-g${index}.drv` as GoalId);
  const inputs = ids.map((_, index) => [...new Set(inputsOf(shape, index, count, state))]);
  const needed = new Set(inputs.flat());
  const work = new Map(ids.map((id) => [id, lengthOf(lengths, state)]));
  const goals = ids.map(
    (goal, index): GoalSpec => ({
      goal,
      kind: "derivation",
      name: `g${index}`,
      system: "x86_64-linux",
      requiredFeatures: [],
      preferLocalBuild: false,
      outputs: ["out"],
      inputs: inputs[index]!.map((input) => ids[input]!),
      isTarget: !needed.has(index),
      validity: "missing",
      outputPaths: [],
      addressing: "input",
      check: false,
      rounds: 1,
      inputBytes: 0,
    }),
  );
  return { goals, work };
}

function machineOf(name: string, slots: number, speedFactor: number): MachineSpec {
  return {
    machine: name as MachineId,
    uri: `ssh-ng://${name}`,
    isLocal: false,
    systems: ["x86_64-linux"],
    slots,
    speedFactor,
    supportedFeatures: [],
    mandatoryFeatures: [],
    buildCores: null,
    cores: null,
  };
}

const many = (count: number, slots: number, speed: (index: number) => number): MachineSpec[] =>
  Array.from({ length: count }, (_, index) => machineOf(`m${index}`, slots, speed(index)));

export function makeFarm(kind: (typeof FARMS)[number], seed: number): Farm {
  const state: RandomState = { value: seed * 104_729 + 11 };
  const honest = (machines: MachineSpec[]): Farm => ({
    machines,
    speeds: new Map(machines.map((machine) => [machine.machine, machine.speedFactor])),
  });
  switch (kind) {
    case "laptop":
      return honest(many(1, 4, () => 1));
    case "two":
      return honest([machineOf("m0", 2, 1), machineOf("m1", 4, 1.5)]);
    case "uneven":
      return honest([machineOf("m0", 1, 1), machineOf("m1", 3, 2), machineOf("m2", 2, 1), machineOf("m3", 2, 4)]);
    case "oneFast":
      return honest([machineOf("fast", 1, 8), ...many(40, 4, () => 0.5)]);
    case "thirty":
      return honest(many(30, 4, () => [0.5, 1, 1, 2, 4][Math.floor(draw(state) * 5)]!));
    case "twoHundred":
      return honest(many(200, 2, () => [0.5, 1, 1, 1, 2][Math.floor(draw(state) * 5)]!));
    case "liars": {
      const machines = many(8, 2, () => [1, 1, 2, 4][Math.floor(draw(state) * 4)]!);
      const speeds = machines.map(
        ({ machine, speedFactor }) => [machine, speedFactor * 4 ** (2 * draw(state) - 1)] as const,
      );
      return { machines, speeds: new Map(speeds) };
    }
  }
}

/** The durations a run is told, by what is known of its graph. */
export function known(knowledge: (typeof KNOWLEDGE)[number], graph: Graph, seed: number): Partial<PlanOptions> {
  if (knowledge === "nothing") return {};
  const state: RandomState = { value: seed * 31 + 5 };
  const works = [...graph.work.values()];
  const tell = (ms: number): number => {
    switch (knowledge) {
      case "exact":
        return ms;
      case "factorTwo":
        return ms * Math.exp(Math.LN2 * normal(state));
      case "otherBuilds":
        // Of the same name, and of no other likeness.
        return works[Math.floor(draw(state) * works.length)]!;
      case "wrongByTen":
        return ms * (draw(state) < 0.5 ? 10 : 0.1);
    }
  };
  const told = new Map([...graph.work].map(([goal, ms]) => [goal, tell(ms)]));
  return { durations: (goal, machine) => told.get(goal.goal)! / machine.speedFactor };
}
