// Puts things in an order in which each comes after everything it needs, or finds the cycle that makes this impossible.

/** The order, or a cycle: each node in it needs the next, and the last needs the first. */
export type Order<K> =
  | { readonly type: "order"; readonly order: readonly K[] }
  | { readonly type: "cycle"; readonly cycle: readonly K[] };

/**
 * Inputs before dependents; ignores inputs that are not among the nodes. Takes time and memory proportional to nodes and edges.
 * Among nodes that could come next, keeps the given order.
 */
export function orderByInputs<K>(nodes: Iterable<K>, inputsOf: (node: K) => Iterable<K>): Order<K> {
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
  return sorted.type === "cycle"
    ? { type: "cycle", cycle: sorted.cycle.map((number) => given[number]!) }
    : { type: "order", order: sorted.order.map((number) => given[number]!) };
}

/** Inputs before dependents, by a depth-first search with its own stack, or the first cycle found. */
function depthFirst(edges: readonly (readonly number[])[]): Order<number> {
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
