import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closureOf, queryClosure, sortByReferences } from "../../../src/engine/derivation/closure.ts";
import { createGraph, criticalPath, derivationGraph, type Graph } from "../../../src/engine/derivation/graph.ts";
import type { PathInfo } from "../../../src/engine/formats/path-info.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { sampleDerivation, samplePath } from "./samples.ts";

function graphOf<K>(edges: ReadonlyMap<K, readonly K[]>): Graph<K> {
  const result = createGraph(edges.keys(), (node) => edges.get(node)!);
  if (result.type === "cycle") throw new Error(`cycle: ${result.cycle.join(" ")}`);
  return result.graph;
}

/** Graphs without cycles: a node needs only nodes with smaller numbers, and they are given in any order. */
const anyEdges = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { maxLength: 30 }).chain((lists) =>
  fc
    .shuffledSubarray(
      lists.map((_, node) => node),
      { minLength: lists.length },
    )
    .map((order) => new Map(order.map((node) => [node, lists[node]!.filter((input) => input < node)]))),
);

describe("graphs", () => {
  it("put inputs before what needs them and know both directions", () => {
    fc.assert(
      fc.property(anyEdges, (edges) => {
        const graph = graphOf(edges);
        expect(graph.order.length).toBe(edges.size);
        const positions = new Map(graph.order.map((node, index) => [node, index]));
        for (const [node, inputs] of edges) {
          expect(new Set(graph.inputsOf(node))).toEqual(new Set(inputs));
          for (const input of inputs) {
            expect(positions.get(input)!).toBeLessThan(positions.get(node)!);
            expect(graph.dependentsOf(input)).toContain(node);
            expect(graph.allDependentsOf(input).has(node)).toBe(true);
          }
        }
      }),
    );
  });

  it("have a longest way that is a way, and no way is longer", () => {
    fc.assert(
      fc.property(anyEdges, fc.array(fc.nat(9), { minLength: 30, maxLength: 30 }), (edges, weights) => {
        const graph = graphOf(edges);
        const weightOf = (node: number) => weights[node]!;
        const longest = (node: number): number =>
          weightOf(node) + Math.max(0, ...graph.dependentsOf(node).map(longest));
        const { path, length, remaining } = criticalPath(graph, weightOf);
        expect(length).toBe(Math.max(0, ...[...edges.keys()].map(longest)));
        expect(path.reduce((sum, node) => sum + weightOf(node), 0)).toBe(length);
        for (const [index, node] of path.entries())
          if (index > 0) expect(graph.inputsOf(node)).toContain(path[index - 1]);
        for (const node of edges.keys()) expect(remaining.get(node)).toBe(longest(node));
      }),
      { numRuns: 60 },
    );
  });

  it("report a cycle as the nodes that need each other in a row", () => {
    const edges = new Map([
      ["start", ["a"]],
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["a"]],
    ]);
    expect(createGraph(edges.keys(), (node) => edges.get(node)!)).toEqual({ type: "cycle", cycle: ["a", "b", "c"] });
    expect(createGraph(["x"], () => ["x"])).toEqual({ type: "cycle", cycle: ["x"] });
  });

  it("of derivations leave out what is not among them", () => {
    const [a, b, c] = [samplePath(1, "a.drv"), samplePath(2, "b.drv"), samplePath(3, "c.drv")] as const;
    const result = derivationGraph(
      new Map([
        [a, sampleDerivation("a", [b, c])],
        [b, sampleDerivation("b")],
      ]),
    );
    expect(result.type === "graph" && result.graph.order).toEqual([b, a]);
    expect(result.type === "graph" && result.graph.has(c)).toBe(false);
  });

  it("of 60,000 nodes and a chain as deep do not exhaust the stack", () => {
    const nodes = Array.from({ length: 60_000 }, (_, index) => index);
    const result = createGraph(nodes, (node) =>
      [node - 1, node >> 1, node >> 2, node >> 3].filter((input) => input >= 0 && input < node),
    );
    if (result.type === "cycle") throw new Error("no cycle expected");
    expect(result.graph.order[0]).toBe(0);
    expect(criticalPath(result.graph, () => 1).length).toBe(60_000);
  });
});

function info(path: StorePath, references: readonly StorePath[]): PathInfo {
  return {
    path,
    references,
    deriver: null,
    narHash: new Uint8Array(32),
    narSize: 1n,
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
}

describe("closures", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name, index) => samplePath(index, name)) as [
    StorePath,
    StorePath,
    StorePath,
    StorePath,
  ];
  const infos = new Map([info(a, [a, b, c]), info(b, [c]), info(c, [d]), info(d, [])].map((each) => [each.path, each]));

  it("hold everything that can be reached", () => {
    expect(closureOf([b], (path) => infos.get(path)!.references)).toEqual(new Set([b, c, d]));
  });

  it("are asked for layer by layer, each path once", async () => {
    const asked: StorePath[][] = [];
    const closure = await queryClosure([a], async (paths) => {
      asked.push([...paths]);
      return new Map(paths.map((path) => [path, infos.get(path)!]));
    });
    expect(new Set(closure.keys())).toEqual(new Set([a, b, c, d]));
    expect(asked).toEqual([[a], [b, c], [d]]);
    await expect(queryClosure([a], async () => new Map())).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });
  });

  it("are sorted so that what is referred to comes first", () => {
    expect(sortByReferences(infos.values()).map(({ path }) => path)).toEqual([d, c, b, a]);
    expect(() => sortByReferences([info(a, [b]), info(b, [a])])).toThrow(
      expect.objectContaining({ code: "REFERENCE_CYCLE" }),
    );
  });
});
