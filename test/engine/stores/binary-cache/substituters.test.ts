// Several caches behind an embedded store: order, lies and what becomes of them.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { generateSecretKey, printPublicKey, publicKeyOf } from "../../../../src/engine/formats/signature.ts";
import { hashPartOf } from "../../../../src/engine/formats/store-path.ts";
import { FileObjects } from "../../../../src/engine/stores/binary-cache/objects/file.ts";
import type { GetPutPort } from "../../../../src/engine/stores/binary-cache/port.ts";
import { type Source, Substituters } from "../../../../src/engine/stores/binary-cache/substituters.ts";
import { type EmbeddedStore, openEmbeddedStore } from "../../../../src/engine/stores/embedded/embedded-store.ts";
import { DEFAULT_EMBEDDED_SETTINGS } from "../../../../src/engine/stores/embedded/settings.ts";
import { noise } from "../../../support/noise.ts";
import { startObjectServer } from "../../../support/object-server.ts";
import { removeDirectory } from "../../../support/temporary-directory.ts";
import { hasPrograms } from "../../../support/tools.ts";
import { ADD, bytesOf, cacheOver, httpPort, sample } from "./support.ts";

const key = generateSecretKey("test-1");
const stranger = generateSecretKey("stranger-1");
const glibc = sample("glibc", noise(50_000));
const hello = sample("hello", noise(200_000), [glibc]);

let directory: string;
let store: EmbeddedStore;
const notices: string[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-subst-"));
  notices.length = 0;
});
afterEach(async () => {
  await store?.close();
  removeDirectory(directory);
});

const portAt = (name: string): FileObjects => new FileObjects(join(directory, name), `file:///${name}`);

async function fill(name: string, secretKey = key): Promise<string> {
  await cacheOver(portAt(name), { secretKeys: [secretKey] }).addPaths([glibc.incoming, hello.incoming], ADD);
  return join(directory, name);
}

function source(port: GetPutPort, changes: Partial<Source> = {}): Source {
  return {
    uri: port.uri,
    priority: null,
    trusted: false,
    open: async () => {
      const cache = cacheOver(port);
      return {
        priority: async (signal) => (await cache.demandCache(signal)).priority ?? 0,
        queryPathInfos: (paths, signal) => cache.queryPathInfos(paths, signal),
        narFromPath: (path, size, signal) => cache.narFromPath(path, size, signal),
        checksNars: cache.checksNars,
        downloadSize: (path) => cache.knownNarInfo(path)?.fileSize ?? 0n,
        close: () => cache.close(),
      };
    },
    ...changes,
  };
}

async function open(...sources: readonly Source[]): Promise<EmbeddedStore> {
  const substituters = new Substituters({
    sources,
    clock: systemClock,
    notice: (message) => notices.push(message),
    onClose: () => undefined,
  });
  store = await openEmbeddedStore({
    root: join(directory, "root"),
    clock: systemClock,
    random: Math.random,
    substituters: substituters.ports,
    settings: {
      ...DEFAULT_EMBEDDED_SETTINGS,
      system: "x86_64-linux",
      trustedPublicKeys: [printPublicKey(publicKeyOf(key))],
    },
  });
  return substituters.closeWith(store);
}

async function fetchHello(): Promise<string[]> {
  const copied: string[] = [];
  await store.ensurePath(
    hello.path,
    () => undefined,
    undefined,
    (path, from) => copied.push(`${path} ${from}`),
  );
  expect(Buffer.compare(await bytesOf(store.narFromPath(hello.path, 0n)), hello.nar)).toBe(0);
  expect(await store.queryValidPaths([glibc.path])).toEqual(new Set([glibc.path]));
  return copied;
}

describe.skipIf(!hasPrograms("xz"))("substituters (skipped without xz-utils)", () => {
  it("are asked by priority: the reference's, else the cache's own, else the order they are named in", async () => {
    for (const name of ["a", "b", "c"]) await fill(name);
    writeFileSync(join(directory, "a/nix-cache-info"), "StoreDir: /nix/store\nPriority: 40\n");
    writeFileSync(join(directory, "b/nix-cache-info"), "StoreDir: /nix/store\nPriority: 30\n");
    await open(source(portAt("a")), source(portAt("b")), source(portAt("c"), { priority: 35 }));
    expect(await fetchHello()).toEqual([`${glibc.path} file:///b`, `${hello.path} file:///b`]);
  });

  it("are not asked before a path is wanted", async () => {
    let opened = 0;
    await open(source(portAt("a"), { open: async () => Promise.reject(new Error(`opened ${++opened}`)) }));
    await store.queryPathInfos([hello.path]);
    expect(opened).toBe(0);
    await expect(store.ensurePath(hello.path, () => undefined)).rejects.toThrow(
      `path '${hello.path}' is not valid, and no substituter has it`,
    );
    expect(notices).toEqual(["substituter 'file:///a' is left out: opened 1"]);
    await expect(store.ensurePath(hello.path, () => undefined)).rejects.toThrow("no substituter has it");
    expect(notices).toHaveLength(1);
  });

  const lies: readonly (readonly [string, RegExp, (cache: string) => void])[] = [
    [
      "a wrong NAR hash",
      /has the hash|is refused|should have the hash/,
      (cache) =>
        edit(
          cache,
          (text) => text.replace(/FileHash: .*\n/, "").replace(/FileSize: .*\n/, ""),
          Buffer.from("nonsense"),
        ),
    ],
    ["a truncated file", /its file should have \d+ bytes and has \d+/, (cache) => edit(cache, (text) => text, null)],
    [
      "another path's narinfo",
      /its narinfo is that of/,
      (cache) => edit(cache, (text) => text.replace(hello.path, glibc.path), undefined),
    ],
    [
      "another packing",
      /should be packed with xz, but is packed with zstd/,
      (cache) => edit(cache, (text) => text.replace("zstd", "xz"), undefined),
    ],
    [
      "no NAR",
      /its NAR '.*' does not exist/,
      (cache) => edit(cache, (text) => text.replace(/URL: .*/, "URL: nar/none"), undefined),
    ],
  ];

  function edit(cache: string, change: (text: string) => string, nar: Buffer | null | undefined): void {
    const file = join(cache, `${hashPartOf(hello.path)}.narinfo`);
    const text = readFileSync(file, "utf8");
    const narFile = join(cache, /URL: (.*)/.exec(text)![1]!);
    if (nar === null) writeFileSync(narFile, readFileSync(narFile).subarray(0, 1000));
    else if (nar !== undefined) writeFileSync(narFile, nar);
    writeFileSync(file, change(text));
  }

  it.each(lies)("are left for the next one when they lie: %s", async (_name, reason, lie) => {
    lie(await fill("liar"));
    await fill("honest");
    await open(source(portAt("liar")), source(portAt("honest")));
    const copied = await fetchHello();
    expect(copied.at(-1)).toBe(`${hello.path} file:///honest`);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(reason);
    expect(notices[0]).toContain(hello.path);
    expect(notices[0]).toContain("file:///liar");
  });

  it("tell why when there is no other one", async () => {
    edit(await fill("liar"), (text) => text, null);
    await open(source(portAt("liar")));
    await expect(store.ensurePath(hello.path, () => undefined)).rejects.toMatchObject({ code: "CACHE_NAR_TRUNCATED" });
    expect(await store.queryValidPaths([hello.path])).toEqual(new Set());
    // What came before it is whole and stays.
    expect(await store.queryValidPaths([glibc.path])).toEqual(new Set([glibc.path]));
    expect(readdirSync(join(directory, "root/nix/store")).filter((name) => !name.startsWith("."))).toHaveLength(1);
  });

  it("are believed only with a signature by a trusted key, or when they are trusted themselves", async () => {
    await fill("strange", stranger);
    await open(source(portAt("strange")));
    await expect(store.ensurePath(hello.path, () => undefined)).rejects.toThrow(
      "what 'file:///strange' has is not signed by any of the keys in 'trusted-public-keys'",
    );
    await store.close();
    await open(source(portAt("strange"), { trusted: true }));
    await fetchHello();
  });

  it("pass over one that is unsigned for one that is signed", async () => {
    await fill("strange", stranger);
    await fill("ours");
    await open(source(portAt("strange")), source(portAt("ours")));
    expect(await fetchHello()).toEqual([`${glibc.path} file:///ours`, `${hello.path} file:///ours`]);
    // Once, though it has two of the paths.
    expect(notices).toEqual([
      `substituter 'file:///strange' is passed over for '${hello.path}', and for whatever else it has, where no key in 'trusted-public-keys' has signed it`,
    ]);
  });

  it("go on with another one when a server breaks down in the middle, and say so once", async () => {
    let broken = false;
    await using server = await startObjectServer({ fault: () => (broken ? { type: "reset" } : null) });
    const { port } = httpPort(server.url, { attempts: 1 });
    await cacheOver(port, { secretKeys: [key] }).addPaths([glibc.incoming, hello.incoming], ADD);
    await fill("second");
    await open(source(port, { priority: 1 }), source(portAt("second"), { priority: 2 }));
    expect(await store.querySubstitutable([hello.path])).toEqual(new Set([hello.path]));
    broken = true;
    expect((await fetchHello()).filter((line) => line.endsWith("file:///second"))).toHaveLength(2);
    expect(notices.filter((notice) => notice.includes("is left out"))).toHaveLength(1);
  });
});
