import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StorePath } from "../../../../../src/engine/formats/store-path.ts";
import type { CollectorTask } from "../../../../../src/engine/stores/embedded/collector/collect-garbage.ts";
import { SILENT_COLLECTOR } from "../../../../../src/engine/stores/embedded/collector/collector.ts";
import type { EmbeddedStore } from "../../../../../src/engine/stores/embedded/embedded-store.ts";
import { flock } from "../../../../../src/engine/stores/embedded/files/flock.ts";
import { lockPaths } from "../../../../../src/engine/stores/embedded/files/path-locks.ts";
import { removeTree } from "../../../../../src/engine/stores/embedded/files/remove.ts";
import { realPathOf } from "../../../../../src/engine/stores/embedded/layout.ts";
import type { EmbeddedSettings } from "../../../../../src/engine/stores/embedded/settings.ts";
import { file, incoming, openTestStore, type TestPath, testPath } from "../support.ts";

let root: string;
let open: EmbeddedStore[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsbt-gc-"));
});
afterEach(async () => {
  for (const store of open) await store.close();
  open = [];
  await removeTree(root);
});

async function openStore(settings: Partial<EmbeddedSettings> = {}): Promise<EmbeddedStore> {
  const store = await openTestStore(root, settings);
  open.push(store);
  return store;
}

/** A store with these paths, kept by nobody. */
async function storeWith(paths: readonly TestPath[], settings: Partial<EmbeddedSettings> = {}): Promise<EmbeddedStore> {
  const making = await openTestStore(root);
  await making.addPaths(paths.map(incoming), { checkSignatures: false });
  await making.close();
  return openStore(settings);
}

function keep(store: EmbeddedStore, path: StorePath): void {
  symlinkSync(path, join(store.layout.gcRootsDir, path.slice(-8)));
}

const collect = (store: EmbeddedStore, task: CollectorTask) => store.collectGarbage(task, SILENT_COLLECTOR);
const deleteAll = (store: EmbeddedStore) => collect(store, { type: "deleteDead", maxFreed: null });

const lib = testPath("lib", file("library"));
const app = testPath("app", file("application"), [lib.info.path]);
const other = testPath("other", file("other"));
const [libPath, appPath, otherPath] = [lib.info.path, app.info.path, other.info.path];

describe("collecting garbage", () => {
  it("tells alive from dead, deletes the dead, and says so", async () => {
    const store = await storeWith([lib, app, other]);
    keep(store, appPath);
    expect(await collect(store, { type: "tellAlive" })).toEqual({ paths: [libPath, appPath].sort(), bytesFreed: 0n });
    expect(await collect(store, { type: "tellDead" })).toEqual({ paths: [otherPath], bytesFreed: 0n });
    expect(await store.queryAllValidPaths()).toHaveLength(3);

    const deleting: StorePath[] = [];
    const { paths, bytesFreed } = await store.collectGarbage(
      { type: "deleteDead", maxFreed: null },
      { waiting: () => undefined, deleting: (path) => deleting.push(path) },
    );
    expect([paths, deleting]).toEqual([[otherPath], [otherPath]]);
    expect(bytesFreed).toBeGreaterThan(0n);
    expect(existsSync(realPathOf(store.layout, otherPath))).toBe(false);
    expect(await store.queryAllValidPaths()).toEqual([libPath, appPath].sort());
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("keeps what processes at work use, ours and others", async () => {
    const store = await storeWith([lib, app, other]);
    const atWork = await openStore();
    await atWork.addTempRoots([appPath]);
    expect((await deleteAll(store)).paths).toEqual([otherPath]);
    expect([...(await store.findRoots()).get(appPath)!]).toEqual([expect.stringMatching(/^\{temp:\d+\}$/)]);
    await atWork.close();
    open = open.filter((one) => one !== atWork);
    expect((await deleteAll(store)).paths).toEqual([libPath, appPath].sort());
  });

  it("stops when enough is freed", async () => {
    const paths = Array.from({ length: 6 }, (_, at) => testPath(`big-${at}`, file(`${at}`.repeat(20_000))));
    const store = await storeWith(paths);
    expect((await collect(store, { type: "deleteDead", maxFreed: 0n })).paths).toEqual([]);
    const { paths: gone, bytesFreed } = await collect(store, { type: "deleteDead", maxFreed: 30_000n });
    expect(gone).toHaveLength(2);
    expect(bytesFreed).toBeGreaterThan(30_000n);
    expect(await store.queryAllValidPaths()).toHaveLength(4);
  });

  it("frees what lies in the store and was never registered, but no lock that is held", async () => {
    const store = await storeWith([lib]);
    keep(store, libPath);
    const real = (name: string): string => join(store.layout.storeDir, name);
    const left = "0".repeat(32);
    mkdirSync(real(`${left}-half`));
    writeFileSync(real(`${left}-half/file`), "x");
    writeFileSync(real(`${left}-idle.lock`), "");
    // What Nix makes while it works has no name of a store path.
    mkdirSync(real("tmp-1-2"));
    const locks = await lockPaths([real(`${left}-held`)], { onWait: () => undefined, signal: null });
    expect((await deleteAll(store)).paths).toEqual([`/nix/store/${left}-half`, `/nix/store/${left}-idle.lock`]);
    expect(readdirSync(store.layout.storeDir).sort()).toEqual(
      [".links", `${left}-held.lock`, libPath.slice(11), "tmp-1-2"].sort(),
    );
    locks.release(false);
    expect((await deleteAll(store)).paths).toEqual([`/nix/store/${left}-held.lock`]);
  });

  it("takes a valid path that is called like a lock for what it is", async () => {
    const lockFile = testPath("flake.lock", file("{}"));
    const store = await storeWith([lockFile]);
    const twin = join(root, "twin");
    linkSync(realPathOf(store.layout, lockFile.info.path), twin);
    expect((await deleteAll(store)).paths).toEqual([lockFile.info.path]);
    expect(readFileSync(twin, "utf8")).toBe("{}");
  });

  it("removes shared files that no path uses any more", async () => {
    const store = await storeWith([lib]);
    const links = join(store.layout.storeDir, ".links");
    linkSync(realPathOf(store.layout, libPath), join(links, "shared"));
    writeFileSync(join(links, "unused"), "x".repeat(8192));
    keep(store, libPath);
    expect((await deleteAll(store)).bytesFreed).toBeGreaterThanOrEqual(8192n);
    expect(readdirSync(links)).toEqual(["shared"]);
    unlinkSync(join(store.layout.gcRootsDir, libPath.slice(-8)));
    await deleteAll(store);
    expect(readdirSync(links)).toEqual([]);
  });

  it("deletes a chain of hundreds", async () => {
    const chain: TestPath[] = [];
    for (let at = 0; at < 400; at++) {
      chain.push(
        testPath(
          `link-${at}`,
          file(`${at}`),
          chain.slice(-1).map(({ info }) => info.path),
        ),
      );
    }
    const store = await storeWith(chain);
    expect((await deleteAll(store)).paths).toHaveLength(400);
  });

  it("waits for another collector, says so, and can be called off", async () => {
    const store = await storeWith([lib]);
    const descriptor = await holdGcLock(store);
    const abort = new AbortController();
    const waits: string[] = [];
    const report = {
      waiting: () => {
        waits.push("waiting");
        setTimeout(() => abort.abort(new Error("called off")), 20);
      },
      deleting: () => undefined,
    };
    const collecting = store.collectGarbage({ type: "deleteDead", maxFreed: null }, report, abort.signal);
    await expect(collecting).rejects.toThrow("called off");
    expect(waits).toEqual(["waiting"]);

    closeSync(descriptor);
    expect((await deleteAll(store)).paths).toEqual([libPath]);
  });
});

async function holdGcLock(store: EmbeddedStore): Promise<number> {
  const descriptor = openSync(store.layout.gcLock, "a+");
  expect(await flock([descriptor], "exclusive", false)).toBe(true);
  return descriptor;
}

describe("result links of a private store", () => {
  it("are roots in Nix's eyes, too, for as long as they are there", async () => {
    const store = await storeWith([lib, app]);
    const link = join(root, "result");
    const mirrors = join(store.layout.gcRootsDir, "tsbuild-top");
    const mirrored = (): string[] => readdirSync(mirrors).map((name) => readlinkSync(join(mirrors, name)));
    symlinkSync(realPathOf(store.layout, libPath), link);
    await store.addIndirectRoot(link);
    expect(mirrored()).toEqual([libPath]);
    expect([...(await store.findRoots())]).toEqual([[libPath, new Set([link])]]);

    unlinkSync(link);
    symlinkSync(realPathOf(store.layout, appPath), link);
    await store.addIndirectRoot(link);
    expect(mirrored()).toEqual([appPath]);
    expect((await deleteAll(store)).paths).toEqual([]);

    unlinkSync(link);
    expect((await deleteAll(store)).paths).toEqual([libPath, appPath].sort());
    expect(mirrored()).toEqual([]);
  });

  it("that lead to the store's own name need no second link", async () => {
    const store = await storeWith([lib]);
    const link = join(root, "result");
    symlinkSync(libPath, link);
    await store.addIndirectRoot(link);
    expect(existsSync(join(store.layout.gcRootsDir, "tsbuild-top"))).toBe(false);
    expect((await deleteAll(store)).paths).toEqual([]);
  });
});
