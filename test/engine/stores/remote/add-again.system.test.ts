// Copies into daemons that fail when a path became valid meanwhile, which all before Nix 2.18 do: what is left is added after all.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyPaths } from "../../../../src/engine/stores/copy.ts";
import type { WorkerStore } from "../../../../src/engine/stores/remote/worker-store.ts";
import type { PathSink } from "../../../../src/engine/stores/store.ts";
import { nixGenerations } from "../../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../../support/nix-instance.ts";
import { connectTo } from "../../protocols/real-nix.ts";
import { infoOf, narOf, pathOf } from "../../protocols/support.ts";
import { workerStore } from "../contract-subjects.ts";

const generations = await nixGenerations();
if (generations.length === 0) it.skip("SKIPPED: no Nix here to talk to", () => undefined);

const signal = new AbortController().signal;

describe.each(generations)("a copy into Nix $version", (generation) => {
  let instance: NixInstance;
  let store: WorkerStore;
  beforeAll(async () => {
    instance = await createInstance(generation, { name: `add-again-${generation.version}` });
    store = workerStore(`nix-${generation.version}`, () => connectTo(instance, "nix-daemon", "--stdio"));
  });
  afterAll(async () => {
    await store.close();
    await instance.remove();
  });

  const files = (name: string) => {
    const nars = new Map([1, 2, 3, 4].map((index) => [pathOf(`${name}-${index}`), narOf(`${name} ${index}`)]));
    const paths = [...nars].map(([path, nar], index) =>
      infoOf(path, nar, index === 0 ? [] : [pathOf(`${name}-${index}`)]),
    );
    const from = {
      checksNars: false,
      async *narFromPath(path: (typeof paths)[number]["path"]) {
        yield nars.get(path)!;
      },
    };
    return { paths, from };
  };
  const copy = ({ paths, from }: ReturnType<typeof files>, to: Pick<PathSink, "addPaths"> = store) =>
    copyPaths({ from, to, paths, checkSignatures: false, report: () => undefined, signal });

  it("brings the rest when somebody else was quicker with one", async () => {
    const raced = files("raced");
    await copy({ ...raced, paths: raced.paths.slice(0, 2) });
    await copy(raced);
    expect(await store.queryValidPaths(raced.paths.map(({ path }) => path))).toHaveLength(4);
    await instance.output("nix-store", ["--verify", "--check-contents"]);
  });

  it("names what is wrong when a path really is bad", async () => {
    const bad = files("bad");
    const [first, second, ...rest] = bad.paths;
    const wrong = { ...second!, narHash: first!.narHash };
    await expect(copy({ ...bad, paths: [first!, wrong, ...rest] })).rejects.toThrow(/hash mismatch .*bad-2/s);
    expect(await store.queryValidPaths(bad.paths.map(({ path }) => path))).not.toContain(wrong.path);
  });
});
