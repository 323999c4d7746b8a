import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readDrvClosure, readDrvFrom } from "../../../src/engine/evaluate/drv-closure.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { baseNameOf } from "../../../src/engine/formats/store-path.ts";

function pathOf(index: number, name = `d${index}`): StorePath {
  return `/nix/store/${index.toString(10).padStart(32, "0")}-${name}.drv` as StorePath;
}

function drvText(index: number, inputs: readonly number[]): Uint8Array {
  const output = `/nix/store/${index.toString(10).padStart(32, "1")}-d${index}`;
  const inputDrvs = inputs.toSorted((a, b) => a - b).map((input) => `("${pathOf(input)}",["out"])`);
  return Buffer.from(
    `Derive([("out","${output}","","")],[${inputDrvs.join(",")}],[],"x86_64-linux","/bin/sh",[],[("name","d${index}"),("out","${output}")])`,
  );
}

describe("the closure of derivations", () => {
  it("reads each derivation once, whoever needs it", async () => {
    const edges = new Map([
      [0, [1, 2]],
      [1, [3]],
      [2, [3]],
      [3, []],
      [9, []],
    ]);
    const read: StorePath[] = [];
    const closure = await readDrvClosure([pathOf(0), pathOf(2)], async (path) => {
      read.push(path);
      const index = Number(path.slice(11, 43));
      return drvText(index, edges.get(index) ?? []);
    });
    expect([...closure.keys()].sort()).toEqual([0, 1, 2, 3].map((index) => pathOf(index)));
    expect(read).toHaveLength(4);
    expect(closure.get(pathOf(1))).toMatchObject({ name: "d1", platform: "x86_64-linux" });
    expect([...(closure.get(pathOf(0))?.inputDrvs.keys() ?? [])]).toEqual([pathOf(1), pathOf(2)]);
  });

  it("is empty without targets", async () => {
    expect(await readDrvClosure([], () => Promise.reject(new Error("never asked")))).toEqual(new Map());
  });

  it("names what cannot be read and who needs it", async () => {
    const readDrv = async (path: StorePath) => {
      if (path === pathOf(1)) throw new Error("ENOENT");
      return drvText(0, [1]);
    };
    await expect(readDrvClosure([pathOf(0)], readDrv)).rejects.toMatchObject({
      code: "DRV_CLOSURE_UNREADABLE",
      message: `cannot read derivation '${pathOf(1)}', which '${pathOf(0)}' needs: ENOENT`,
    });
  });

  it("stays within its bounds", async () => {
    let reading = 0;
    let most = 0;
    const readDrv = async (path: StorePath) => {
      reading += 1;
      most = Math.max(most, reading);
      await new Promise((resolve) => setImmediate(resolve));
      reading -= 1;
      const index = Number(path.slice(11, 43));
      return drvText(index, index < 30 ? [2 * index + 1, 2 * index + 2] : []);
    };
    const closure = await readDrvClosure([pathOf(0)], readDrv, { concurrency: 5, maxDerivations: 1000 });
    expect([closure.size, most]).toEqual([61, 5]);
    await expect(readDrvClosure([pathOf(0)], readDrv, { concurrency: 5, maxDerivations: 10 })).rejects.toMatchObject({
      code: "DRV_CLOSURE_TOO_LARGE",
    });
  });

  it("stops when aborted and when a derivation is malformed", async () => {
    const abort = new AbortController();
    abort.abort(new Error("enough"));
    await expect(readDrvClosure([pathOf(0)], async () => drvText(0, []), undefined, abort.signal)).rejects.toThrow(
      "enough",
    );
    await expect(readDrvClosure([pathOf(0)], async () => Buffer.from("Derive("))).rejects.toMatchObject({
      family: "format",
    });
  });

  it("comes from a directory of files", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsbuild-drvs-"));
    try {
      const size = 2000;
      for (let index = 0; index < size; index += 1) {
        const inputs = [index * 2 + 1, index * 2 + 2].filter((input) => input < size);
        writeFileSync(join(directory, baseNameOf(pathOf(index))), drvText(index, inputs));
      }
      expect((await readDrvClosure([pathOf(0)], readDrvFrom(directory))).size).toBe(size);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
