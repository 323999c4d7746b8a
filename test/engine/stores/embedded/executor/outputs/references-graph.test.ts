import { describe, expect, it } from "vitest";
import type { PathInfo } from "../../../../../../src/engine/formats/path-info.ts";
import { parseStorePath, type StorePath } from "../../../../../../src/engine/formats/store-path.ts";
import {
  exportedPaths,
  type GraphSource,
  printGraphJson,
  printGraphText,
} from "../../../../../../src/engine/stores/embedded/executor/outputs/references-graph.ts";

const path = (digit: string, name: string): StorePath => parseStorePath(`/nix/store/${digit.repeat(32)}-${name}`);
const a = path("0", "a");
const b = path("1", "b");
const drv = path("2", "c.drv");
const made = path("3", "c");
const references = new Map<StorePath, StorePath[]>([
  [a, [a, b]],
  [b, []],
  [drv, [b]],
  [made, [a]],
]);
const source: GraphSource = {
  find: (of) => {
    const known = references.get(of);
    if (known === undefined) return null;
    return {
      path: of,
      narSize: 10n,
      narHash: new Uint8Array(32),
      references: known,
      contentAddress: null,
    } as unknown as PathInfo;
  },
  closureOf: (paths) => {
    const closure = new Set<StorePath>();
    const open = [...paths];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (closure.has(next)) continue;
      closure.add(next);
      open.push(...(references.get(next) ?? []));
    }
    return closure;
  },
  outputsOf: (of) => (of === drv ? [made] : []),
};
const inputs = new Set([a, b, drv]);

describe("exportReferencesGraph", () => {
  it("lists the closure, with the outputs of derivations in it", () => {
    expect(exportedPaths(source, [`${a}/bin/x`], inputs)).toEqual([a, b]);
    expect(exportedPaths(source, [drv], inputs)).toEqual([a, b, drv, made]);
  });

  it("refuses what is no input or no store path", () => {
    expect(() => exportedPaths(source, [made], inputs)).toThrow(/not in the input closure/);
    expect(() => exportedPaths(source, ["/etc/passwd"], inputs)).toThrow(/non-store path/);
  });

  it("prints text and JSON as Nix does", () => {
    expect(printGraphText(source, [a, b])).toBe(`${a}\n\n2\n${a}\n${b}\n${b}\n\n0\n`);
    expect(JSON.parse(printGraphJson(source, [a]))).toEqual([
      {
        path: a,
        closureSize: 20,
        narHash: "sha256:0000000000000000000000000000000000000000000000000000",
        narSize: 10,
        references: [a, b],
        valid: true,
      },
    ]);
  });
});
