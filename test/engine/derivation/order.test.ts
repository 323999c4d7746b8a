import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closureOf, queryClosure, sortByReferences } from "../../../src/engine/derivation/closure.ts";
import { orderByInputs } from "../../../src/engine/derivation/order.ts";
import type { PathInfo } from "../../../src/engine/formats/path-info.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { samplePath } from "./samples.ts";

/** Graphs without cycles: a node needs only nodes with smaller numbers, and they are given in any order. */
const anyEdges = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { maxLength: 30 }).chain((lists) =>
  fc
    .shuffledSubarray(
      lists.map((_, node) => node),
      { minLength: lists.length },
    )
    .map((order) => new Map(order.map((node) => [node, lists[node]!.filter((input) => input < node)]))),
);

describe("an order", () => {
  it("puts inputs before what needs them, and keeps the given order otherwise", () => {
    fc.assert(
      fc.property(anyEdges, (edges) => {
        const result = orderByInputs(edges.keys(), (node) => edges.get(node)!);
        if (result.type === "cycle") throw new Error(`cycle: ${result.cycle.join(" ")}`);
        expect(new Set(result.order)).toEqual(new Set(edges.keys()));
        expect(result.order.length).toBe(edges.size);
        const positions = new Map(result.order.map((node, index) => [node, index]));
        for (const [node, inputs] of edges)
          for (const input of inputs) expect(positions.get(input)!).toBeLessThan(positions.get(node)!);
      }),
    );
    expect(orderByInputs(["c", "a", "b"], () => [])).toEqual({ type: "order", order: ["c", "a", "b"] });
  });

  it("is refused with the nodes that need each other in a row", () => {
    const edges = new Map([
      ["start", ["a"]],
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["a"]],
    ]);
    expect(orderByInputs(edges.keys(), (node) => edges.get(node)!)).toEqual({ type: "cycle", cycle: ["a", "b", "c"] });
    expect(orderByInputs(["x"], () => ["x"])).toEqual({ type: "cycle", cycle: ["x"] });
  });

  it("leaves out what is not among the nodes", () => {
    expect(orderByInputs(["a"], () => ["b"])).toEqual({ type: "order", order: ["a"] });
  });

  it("of 60,000 nodes and a chain as deep does not exhaust the stack", () => {
    const nodes = Array.from({ length: 60_000 }, (_, index) => 59_999 - index);
    const result = orderByInputs(nodes, (node) =>
      [node - 1, node >> 1, node >> 2, node >> 3].filter((input) => input >= 0 && input < node),
    );
    expect(result.type === "order" && result.order.slice(0, 3)).toEqual([0, 1, 2]);
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
