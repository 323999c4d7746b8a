import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KeepPlaces, keepOnDisk, keepResult, narIdentity } from "../../../../src/engine/differences/keep/keep.ts";
import { parseStorePath, type StorePath } from "../../../../src/engine/formats/store-path.ts";
import { dumpPath } from "../../../../src/engine/stores/embedded/files/dump.ts";
import { removeTree } from "../../../../src/engine/stores/embedded/files/remove.ts";
import { directory, file, nar } from "../compare/trees.ts";

const path = parseStorePath("/nix/store/r61dq2xsjdh0wayhi1xbfsysv7x8nncf-two");
const base = "r61dq2xsjdh0wayhi1xbfsysv7x8nncf-two";
const tree = directory({ bin: directory({ tool: file("x", true) }), text: file("y") });

async function* stream(bytes: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* bytes;
}

let home: string;
let protectedPaths: StorePath[];
let places: KeepPlaces;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "tsbt-keep-"));
  mkdirSync(join(home, "store"));
  protectedPaths = [];
  places = {
    storeDir: join(home, "store"),
    ownDir: join(home, "state/kept"),
    protect: async (kept) => {
      protectedPaths.push(kept);
    },
  };
});
afterEach(async () => {
  await removeTree(home);
  rmSync(home, { recursive: true, force: true });
});

describe("keepResult", () => {
  it("unpacks beside the store path as a store object, protected first", async () => {
    const kept = await keepResult(places, path, ".check", stream(nar(tree, 11)));
    const target = join(home, "store", `${base}.check`);
    expect(kept).toEqual({ path: target, ...(await narIdentity(stream(nar(tree)))) });
    expect(protectedPaths).toEqual([path]);
    expect(readdirSync(join(home, "store"))).toEqual([`${base}.check`]);
    for (const [name, mode] of [
      ["", 0o555],
      ["bin/tool", 0o555],
      ["text", 0o444],
    ] as const) {
      const stats = lstatSync(join(target, name));
      expect([stats.mode & 0o7777, stats.mtimeMs, stats.uid]).toEqual([mode, 1000, process.geteuid?.()]);
    }
  });

  it("replaces what was kept before, and leaves nothing of an archive that is cut off", async () => {
    await keepResult(places, path, ".check", stream(nar(tree)));
    const whole = Buffer.concat([...nar(file("new"))]);
    const cut = keepResult(places, path, ".check", stream([whole.subarray(0, 90)]));
    await expect(cut).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
    expect(readdirSync(join(home, "store"))).toEqual([`${base}.check`]);
    const { path: target } = await keepResult(places, path, ".check", stream([whole]));
    expect(readFileSync(target, "utf8")).toBe("new");
    expect(readdirSync(join(home, "store"))).toEqual([`${base}.check`]);
  });

  it("uses the directory of our own where there is no store to write to", async () => {
    const kept = await keepResult({ ...places, storeDir: null }, path, ".check-3", stream(nar(tree)));
    expect(kept.path).toBe(join(home, "state/kept", `${base}.check-3`));
    const gone = await keepResult({ ...places, storeDir: join(home, "nowhere") }, path, ".check", stream(nar(tree)));
    expect(gone.path).toBe(join(home, "state/kept", `${base}.check`));
    writeFileSync(join(home, "file"), "");
    const blocked = keepResult(
      { ...places, storeDir: null, ownDir: join(home, "file/x") },
      path,
      "",
      stream(nar(tree)),
    );
    await expect(blocked).rejects.toMatchObject({ code: "ROUNDS_DIRECTORY_UNWRITABLE" });
  });
});

describe("keepOnDisk", () => {
  const left = async (): Promise<string> => (await keepResult(places, path, ".check", stream(nar(tree)))).path;

  it("leaves Nix's own .check where it is", async () => {
    const real = await left();
    const kept = await keepOnDisk(places, path, ".check", real);
    expect(kept).toEqual({ path: real, ...(await narIdentity(dumpPath(real))) });
  });

  it("renames it when Nix will write there again", async () => {
    const kept = await keepOnDisk(places, path, ".check-2", await left());
    expect(kept.path).toBe(join(home, "store", `${base}.check-2`));
    expect(readdirSync(join(home, "store"))).toEqual([`${base}.check-2`]);
  });
});
