// The graph of what needs what: order, dependents, cycles, and the longest way through by given weights.
import type { StorePath } from "../formats/store-path.ts";
import type { Derivation } from "./derivation.ts";

/** A graph without cycles over keys of any kind. Nodes are numbered by `order`, so inputs have smaller numbers than what needs them. */
export interface Graph<K> {
  /** All nodes, inputs before what needs them. */
  readonly order: readonly K[];
  has(node: K): boolean;
  /** Nodes this one needs directly. */
  inputsOf(node: K): K[];
  /** Nodes that need this one directly. */
  dependentsOf(node: K): K[];
  /** All nodes that need this one, directly or not. */
  allDependentsOf(node: K): Set<K>;
}

/** The graph, or a cycle: each node of it needs the next, and the last needs the first. */
export type GraphResult<K> =
  | { readonly type: "graph"; readonly graph: Graph<K> }
  | { readonly type: "cycle"; readonly cycle: readonly K[] };

/** The longest way through a graph. */
export interface CriticalPath<K> {
  /** For each node its own weight and the greatest sum of weights of what waits for it in a row: the larger, the more urgent. */
  readonly remaining: ReadonlyMap<K, number>;
  /** The longest way, inputs first. */
  readonly path: readonly K[];
  /** Its sum of weights: no number of machines is faster. */
  readonly length: number;
}

/** Makes the graph of derivations. Input derivations outside of the set count as being there already. */
export function derivationGraph(derivations: ReadonlyMap<StorePath, Derivation>): GraphResult<StorePath> {
  return createGraph(derivations.keys(), (drvPath) => derivations.get(drvPath)!.inputDrvs.keys());
}

/**
 * Makes a graph from nodes and what each needs; needed things that are not among the nodes are left out. Takes time and memory in proportion to
 * nodes and edges. Among nodes that could come next, the given order is kept.
 */
export function createGraph<K>(nodes: Iterable<K>, inputsOf: (node: K) => Iterable<K>): GraphResult<K> {
  const given = [...new Set(nodes)];
  const numbers = new Map<K, number>();
  for (const [number, node] of given.entries()) numbers.set(node, number);
  const edges = given.map((node) => {
    const inputs = new Set<number>();
    for (const input of inputsOf(node)) {
      const number = numbers.get(input);
      if (number !== undefined) inputs.add(number);
    }
    return [...inputs];
  });
  const sorted = depthFirst(edges);
  if (sorted.type === "cycle") return { type: "cycle", cycle: sorted.cycle.map((number) => given[number]!) };
  return { type: "graph", graph: new NumberedGraph(given, edges, sorted.order) };
}

/** The longest ways by weight (milliseconds, say); weights are not negative. */
export function criticalPath<K>(graph: Graph<K>, weightOf: (node: K) => number): CriticalPath<K> {
  const remaining = new Map<K, number>();
  const next = new Map<K, K>();
  let first: K | undefined;
  let length = 0;
  for (let index = graph.order.length - 1; index >= 0; index--) {
    const node = graph.order[index]!;
    let longest = 0;
    for (const dependent of graph.dependentsOf(node)) {
      const rest = remaining.get(dependent)!;
      if (rest > longest) {
        longest = rest;
        next.set(node, dependent);
      }
    }
    const total = longest + weightOf(node);
    remaining.set(node, total);
    if (first === undefined || total > length) {
      first = node;
      length = total;
    }
  }
  const path: K[] = [];
  for (let node = first; node !== undefined; node = next.get(node)) path.push(node);
  return { remaining, path, length };
}

class NumberedGraph<K> implements Graph<K> {
  readonly order: readonly K[];
  readonly #numbers = new Map<K, number>();
  /** Edges in two flat arrays: those of node n are at starts[n] to starts[n + 1]. */
  readonly #inputStarts: Int32Array;
  readonly #inputs: Int32Array;
  readonly #dependentStarts: Int32Array;
  readonly #dependents: Int32Array;

  constructor(given: readonly K[], edges: readonly (readonly number[])[], order: readonly number[]) {
    this.order = order.map((old) => given[old]!);
    const renumbered = new Int32Array(given.length);
    for (const [number, old] of order.entries()) {
      renumbered[old] = number;
      this.#numbers.set(given[old]!, number);
    }
    const edgeCount = edges.reduce((sum, inputs) => sum + inputs.length, 0);
    this.#inputStarts = new Int32Array(given.length + 1);
    this.#inputs = new Int32Array(edgeCount);
    this.#dependentStarts = new Int32Array(given.length + 1);
    this.#dependents = new Int32Array(edgeCount);
    let at = 0;
    for (const [number, old] of order.entries()) {
      this.#inputStarts[number] = at;
      for (const input of edges[old]!) {
        const renamed = renumbered[input]!;
        this.#inputs[at++] = renamed;
        this.#dependentStarts[renamed + 1]!++;
      }
    }
    this.#inputStarts[order.length] = at;
    for (let number = 0; number < order.length; number++) {
      this.#dependentStarts[number + 1]! += this.#dependentStarts[number]!;
    }
    const fill = this.#dependentStarts.slice();
    for (let number = 0; number < order.length; number++) {
      for (let edge = this.#inputStarts[number]!; edge < this.#inputStarts[number + 1]!; edge++) {
        const input = this.#inputs[edge]!;
        this.#dependents[fill[input]!] = number;
        fill[input]!++;
      }
    }
  }

  has(node: K): boolean {
    return this.#numbers.has(node);
  }

  inputsOf(node: K): K[] {
    return this.#neighbours(node, this.#inputStarts, this.#inputs);
  }

  dependentsOf(node: K): K[] {
    return this.#neighbours(node, this.#dependentStarts, this.#dependents);
  }

  allDependentsOf(node: K): Set<K> {
    const seen = new Set<K>();
    const open = this.dependentsOf(node);
    for (let dependent = open.pop(); dependent !== undefined; dependent = open.pop()) {
      if (seen.has(dependent)) continue;
      seen.add(dependent);
      for (const further of this.dependentsOf(dependent)) open.push(further);
    }
    return seen;
  }

  #neighbours(node: K, starts: Int32Array, targets: Int32Array): K[] {
    const number = this.#numbers.get(node);
    if (number === undefined) return [];
    const neighbours: K[] = [];
    for (let edge = starts[number]!; edge < starts[number + 1]!; edge++) neighbours.push(this.order[targets[edge]!]!);
    return neighbours;
  }
}

type NumberOrder =
  | { readonly type: "order"; readonly order: readonly number[] }
  | { readonly type: "cycle"; readonly cycle: readonly number[] };

/** Inputs before dependents, by a search in depth with its own stack, or the cycle that it runs into. */
function depthFirst(edges: readonly (readonly number[])[]): NumberOrder {
  const order: number[] = [];
  /** 0 not seen, 1 on the stack, 2 done. */
  const states = new Uint8Array(edges.length);
  const positions = new Int32Array(edges.length);
  const stack: number[] = [];
  for (let root = 0; root < edges.length; root++) {
    if (states[root] !== 0) continue;
    stack.push(root);
    states[root] = 1;
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      const inputs = edges[node]!;
      const position = positions[node]!;
      if (position === inputs.length) {
        states[node] = 2;
        order.push(node);
        stack.pop();
        continue;
      }
      positions[node] = position + 1;
      const input = inputs[position]!;
      if (states[input] === 1) return { type: "cycle", cycle: stack.slice(stack.indexOf(input)) };
      if (states[input] === 0) {
        states[input] = 1;
        stack.push(input);
      }
    }
  }
  return { type: "order", order };
}
