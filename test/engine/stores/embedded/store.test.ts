import { existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentAddressedPath, printContentAddress } from "../../../../src/engine/formats/content-address.ts";
import { generateSecretKey, printPublicKey, publicKeyOf, signPath } from "../../../../src/engine/formats/signature.ts";
import { hashPartOf, parseStorePath, type StorePath } from "../../../../src/engine/formats/store-path.ts";
import type { EmbeddedStore } from "../../../../src/engine/stores/embedded/embedded-store.ts";
import { removeTree } from "../../../../src/engine/stores/embedded/files/remove.ts";
import { layoutOf, realPathOf } from "../../../../src/engine/stores/embedded/layout.ts";
import type { Substituter } from "../../../../src/engine/stores/embedded/substitute.ts";
import { printFault } from "../../../../src/engine/stores/embedded/verify.ts";
import type { IncomingPath } from "../../../../src/engine/stores/store.ts";
import { collect, file, incoming, openTestStore, type TestPath, testPath } from "./support.ts";

let root: string;
let open: EmbeddedStore[] = [];
const openStore = async (...more: Parameters<typeof openTestStore> extends [string, ...infer Rest] ? Rest : never) => {
  const store = await openTestStore(root, ...more);
  open.push(store);
  return store;
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsbt-store-"));
});
afterEach(async () => {
  for (const store of open) await store.close();
  open = [];
  await removeTree(root);
});

const lib = testPath("lib", file("library"));
const app = testPath("app", file("application"), [lib.info.path]);
const add = (store: EmbeddedStore, ...paths: TestPath[]): Promise<void> =>
  store.addPaths(paths.map(incoming), { checkSignatures: false });

/** Replaces the file of a path by another. */
function damage(path: StorePath): void {
  const real = realPathOf(layoutOf(root), path);
  unlinkSync(real);
  writeFileSync(real, "damaged");
}

describe("adding paths", () => {
  it("makes them valid with all that is known of them", async () => {
    const store = await openStore();
    await add(store, lib, app);
    const infos = await store.queryPathInfos([app.info.path]);
    expect(infos.get(app.info.path)).toEqual({
      ...app.info,
      registrationTime: expect.any(BigInt),
    });
    expect(infos.get(app.info.path)!.registrationTime).toBeGreaterThan(1_700_000_000n);
    expect(await store.queryReferrers(lib.info.path)).toEqual([app.info.path]);
    expect(await store.queryClosure([app.info.path])).toEqual(new Set([app.info.path, lib.info.path]));
    expect(await store.queryPathFromHashPart(hashPartOf(lib.info.path))).toBe(lib.info.path);
    expect(Buffer.compare(await collect(store.narFromPath(app.info.path, 0n)), app.nar)).toBe(0);
    expect(readdirSync(store.layout.storeDir).sort()).toEqual(
      [".links", ...[lib, app].map(({ info }) => info.path.slice(11))].sort(),
    );
  });

  it("takes the word of who checked a NAR on its way for that very NAR, and of nobody for another", async () => {
    const store = await openStore();
    const endingWith = (path: TestPath, sha256: Uint8Array | undefined): IncomingPath => ({
      info: path.info,
      isChecked: true,
      nar: async function* () {
        yield path.nar;
        return sha256;
      },
    });
    const adding = (path: IncomingPath) => store.addPaths([path], { checkSignatures: false });
    await expect(adding(endingWith(lib, app.info.narHash))).rejects.toMatchObject({ code: "STORE_HASH_MISMATCH" });
    await expect(adding(endingWith(lib, undefined))).rejects.toThrow("should have been checked");
    expect(await store.queryAllValidPaths()).toEqual([]);
    await adding(endingWith(lib, lib.info.narHash));
    expect(await store.queryAllValidPaths()).toEqual([lib.info.path]);
  });

  it("keeps them for the next one who opens the store", async () => {
    await add(await openStore(), lib, app);
    const other = await openStore();
    expect(await other.queryAllValidPaths()).toEqual([lib.info.path, app.info.path].sort());
    expect((await other.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("refuses contents that are not what they are said to be, and leaves nothing", async () => {
    const store = await openStore();
    const lie = { ...lib, nar: testPath("x", file("librarY")).nar };
    await expect(add(store, lie)).rejects.toMatchObject({
      code: "STORE_HASH_MISMATCH",
      message: expect.stringMatching(
        /^hash mismatch importing path '.*-lib';\n {2}specified: sha256:.*\n {2}got: {7}sha256:/,
      ),
    });
    const long = { ...lib, info: { ...lib.info, narSize: lib.info.narSize + 8n } };
    await expect(add(store, long)).rejects.toMatchObject({ code: "STORE_HASH_MISMATCH" });
    await expect(add(store, app)).rejects.toMatchObject({ code: "STORE_REFERENCE_INVALID" });
    expect(await store.queryAllValidPaths()).toEqual([]);
    await store.close();
    open = [];
    expect(readdirSync(join(root, "nix/var/nix/tsbuild-top"))).toEqual([]);
  });

  it("keeps what was whole when a later one fails", async () => {
    const store = await openStore();
    const broken = { ...app, nar: app.nar.subarray(0, 50) };
    await expect(add(store, lib, broken)).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
    expect(await store.queryAllValidPaths()).toEqual([lib.info.path]);
  });

  it("replaces what a crash left in a path's place", async () => {
    const store = await openStore();
    mkdirSync(join(realPathOf(store.layout, lib.info.path), "half"), { recursive: true });
    await add(store, lib);
    expect((await store.verify({ checkContents: true })).faults).toEqual([]);
  });

  it("asks for signatures, except of content-addressed paths", async () => {
    const key = generateSecretKey("cache-1");
    const store = await openStore({ requireSignatures: true, trustedPublicKeys: [printPublicKey(publicKeyOf(key))] });
    const checked = (path: TestPath): Promise<void> => store.addPaths([incoming(path)], { checkSignatures: true });
    await expect(checked(lib)).rejects.toMatchObject({
      code: "STORE_UNTRUSTED_PATH",
      message: `cannot add path '${lib.info.path}' because it lacks a valid signature`,
    });
    await checked({ ...lib, info: { ...lib.info, signatures: [signPath(lib.info, key)] } });
    const address = { method: "nar", hash: { algorithm: "sha256", digest: app.info.narHash } } as const;
    const path = contentAddressedPath("app", address);
    const addressed = { ...app.info, path, references: [], contentAddress: printContentAddress(address) };
    await checked({ ...app, info: addressed });
    const elsewhere = { ...addressed, path: lib.info.path, contentAddress: printContentAddress(address) };
    await expect(add(store, { ...app, info: elsewhere })).rejects.toMatchObject({
      code: "STORE_FALSE_CONTENT_ADDRESS",
    });
    expect(await store.queryValidPaths([path, lib.info.path])).toEqual(new Set([path, lib.info.path]));
  });

  it("may be done by many at once for the same paths", async () => {
    const stores = await Promise.all(Array.from({ length: 5 }, () => openStore()));
    await Promise.all(stores.map((store) => add(store, lib, app)));
    expect(await stores[0]!.queryAllValidPaths()).toEqual([lib.info.path, app.info.path].sort());
    expect((await stores[1]!.verify({ checkContents: true })).faults).toEqual([]);
    expect(readdirSync(stores[0]!.layout.storeDir).filter((name) => name.endsWith(".lock"))).toEqual([]);
  });
});

describe("verifying", () => {
  it("finds what was changed, and forgets what is gone and not needed", async () => {
    const store = await openStore();
    const other = testPath("other", file("other"));
    await add(store, lib, app, other);
    damage(lib.info.path);
    unlinkSync(realPathOf(store.layout, other.info.path));
    const { faults, checked } = await store.verify({ checkContents: true });
    expect(checked).toBe(3);
    expect(faults.map((fault) => [fault.type, fault.path])).toEqual([
      ["forgotten", other.info.path],
      ["modified", lib.info.path],
    ]);
    expect(printFault(faults[1]!)).toMatch(
      /was modified! expected hash 'sha256:[0-9a-z]{52}', got 'sha256:[0-9a-z]{52}'$/,
    );
    expect(await store.queryValidPaths([other.info.path])).toEqual(new Set());
  });

  it("keeps what is gone but needed, and says so", async () => {
    const store = await openStore();
    await add(store, lib, app);
    unlinkSync(realPathOf(store.layout, lib.info.path));
    const { faults } = await store.verify({ checkContents: false });
    expect(faults).toEqual([{ type: "missing", path: lib.info.path, referrers: [app.info.path] }]);
    unlinkSync(realPathOf(store.layout, app.info.path));
    const again = await store.verify({ checkContents: false });
    expect(again.faults.map((fault) => fault.type)).toEqual(["forgotten", "forgotten"]);
    expect(await store.queryAllValidPaths()).toEqual([]);
  });
});

describe("deleting", () => {
  it("refuses what is referred to, rooted, or in use, in Nix's words", async () => {
    await add(await openStore(), lib, app);
    await open.pop()!.close();
    const store = await openStore();
    const link = join(root, "result");
    symlinkSync(app.info.path, link);
    await store.addIndirectRoot(link);
    const refusal = (path: StorePath) => ({
      code: "STORE_PATH_ALIVE",
      message: `Cannot delete path '${path}' since it is still alive. To find out why, use: nix-store --query --roots`,
    });
    await expect(store.deletePaths([lib.info.path])).rejects.toMatchObject(refusal(lib.info.path));
    await expect(store.deletePaths([app.info.path])).rejects.toMatchObject(refusal(app.info.path));
    unlinkSync(link);
    await expect(store.deletePaths([lib.info.path])).rejects.toMatchObject(refusal(lib.info.path));

    const other = await openStore();
    await other.addTempRoots([app.info.path]);
    await expect(store.deletePaths([app.info.path])).rejects.toMatchObject(refusal(app.info.path));
    await other.close();
    open.splice(open.indexOf(other), 1);

    expect(await store.deletePaths([lib.info.path, app.info.path])).toBeGreaterThan(0n);
    expect(await store.queryAllValidPaths()).toEqual([]);
    expect(existsSync(realPathOf(store.layout, app.info.path))).toBe(false);
    expect(readdirSync(store.layout.autoRootsDir)).toEqual([]);
  });

  it("frees what was never registered", async () => {
    const store = await openStore();
    writeFileSync(realPathOf(store.layout, lib.info.path), "left over");
    await store.deletePaths([lib.info.path]);
    expect(existsSync(realPathOf(store.layout, lib.info.path))).toBe(false);
  });
});

describe("a dead process's leavings", () => {
  it("are cleared up by the next one that writes, those of living ones are not", async () => {
    const living = await openStore();
    await living.warmUp();
    const work = join(root, "nix/var/nix/tsbuild-top");
    const mine = readdirSync(work).filter((name) => !name.endsWith(".lock"));
    mkdirSync(join(work, "999999999-dead", "incoming-1"), { recursive: true });
    writeFileSync(join(work, "999999999-dead.lock"), "");
    mkdirSync(join(work, "strange"));
    const store = await openStore();
    await store.warmUp();
    const left = readdirSync(work).filter((name) => !name.endsWith(".lock"));
    expect(left).toHaveLength(2);
    expect(left).toContain(mine[0]);
  });
});

describe("substituting", () => {
  function substituter(
    priority: number,
    paths: readonly TestPath[],
    trusted = false,
  ): Substituter & { asked: number; disbelievedPaths: string[] } {
    const byPath = new Map(paths.map((path) => [path.info.path, path]));
    return {
      asked: 0,
      disbelievedPaths: [],
      disbelieved(path) {
        this.disbelievedPaths.push(path);
      },
      uri: `test://${priority}`,
      priority,
      trusted,
      downloadSize: () => 7n,
      async queryPathInfos(wanted) {
        this.asked++;
        const infos = new Map();
        for (const path of wanted) if (byPath.has(path)) infos.set(path, byPath.get(path)!.info);
        return infos;
      },
      checksNars: false,
      async *narFromPath(path) {
        yield byPath.get(path)!.nar;
      },
    };
  }

  it("fetches a closure in reference order, from the first that has each path", async () => {
    const near = substituter(10, [app]);
    const far = substituter(40, [app, lib]);
    const store = await openStore({}, [far, near]);
    const progress: bigint[] = [];
    await store.ensurePath(app.info.path, ({ doneBytes }) => progress.push(doneBytes));
    expect(await store.queryAllValidPaths()).toEqual([app.info.path, lib.info.path].sort());
    expect(progress.at(-1)).toBe(app.info.narSize + lib.info.narSize);
    const asked = near.asked;
    await store.ensurePath(app.info.path, () => undefined);
    expect(near.asked).toBe(asked);
  });

  it("believes only who is trusted", async () => {
    const unsigned = substituter(1, [lib]);
    const store = await openStore({ requireSignatures: true }, [unsigned]);
    expect(await store.querySubstitutable([lib.info.path])).toEqual(new Set());
    expect(unsigned.disbelievedPaths).toEqual([lib.info.path]);
    await expect(store.ensurePath(lib.info.path, () => undefined)).rejects.toMatchObject({
      code: "SUBSTITUTE_NOT_FOUND",
    });
    const trusting = await openStore({ requireSignatures: true }, [substituter(1, [lib], true)]);
    expect(await trusting.querySubstitutable([lib.info.path, app.info.path])).toEqual(new Set([lib.info.path]));
  });

  it("says beforehand what it would do", async () => {
    const store = await openStore({}, [substituter(1, [app, lib])]);
    const unknown = parseStorePath("/nix/store/00000000000000000000000000000000-nowhere");
    const missing = await store.queryMissing([
      { type: "opaque", path: app.info.path },
      { type: "opaque", path: unknown },
    ]);
    expect(missing).toEqual({
      willBuild: new Set(),
      willSubstitute: new Set([app.info.path, lib.info.path]),
      unknown: new Set([unknown]),
      downloadSize: 14n,
      narSize: app.info.narSize + lib.info.narSize,
    });
  });
});

describe("realisations", () => {
  it("are kept, and contradictions refused", async () => {
    const store = await openStore();
    await add(store, lib, app);
    const id = `sha256:${"0".repeat(64)}!out`;
    expect(await store.queryRealisation(id)).toBeNull();
    await store.registerRealisation(id, lib.info.path);
    await store.registerRealisation(id, lib.info.path);
    expect(await store.queryRealisation(id)).toBe(lib.info.path);
    await expect(store.registerRealisation(id, app.info.path)).rejects.toMatchObject({ code: "REALISATION_CONFLICT" });
    await expect(store.registerRealisation("nonsense", app.info.path)).rejects.toMatchObject({
      code: "REALISATION_ID_MALFORMED",
    });
  });
});

describe("opening", () => {
  it("refuses a store of another schema, and one that cannot be made", async () => {
    await (await openTestStore(root)).close();
    writeFileSync(layoutOf(root).schemaFile, "9");
    await expect(openTestStore(root)).rejects.toMatchObject({ code: "STORE_SCHEMA_UNSUPPORTED" });
    const blocked = join(root, "blocked");
    writeFileSync(blocked, "");
    await expect(openTestStore(blocked)).rejects.toMatchObject({ code: "STORE_UNWRITABLE" });
  });
});
