import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/engine/base/clock.ts";
import { hashBytes } from "../../../../src/engine/formats/hash.ts";
import { parseNarInfo, printNarInfo } from "../../../../src/engine/formats/narinfo.ts";
import { generateSecretKey, publicKeyOf, validSignatures } from "../../../../src/engine/formats/signature.ts";
import { hashPartOf } from "../../../../src/engine/formats/store-path.ts";
import { DiskCache } from "../../../../src/engine/stores/binary-cache/disk-cache.ts";
import { FileObjects } from "../../../../src/engine/stores/binary-cache/objects/file.ts";
import { createFakeClock } from "../../../support/fake-clock.ts";
import { noise } from "../../../support/noise.ts";
import { startObjectServer } from "../../../support/object-server.ts";
import { hasPrograms } from "../../../support/tools.ts";
import { ADD, bytesOf, cacheOver, httpPort, sample } from "./support.ts";

const hasPackers = hasPrograms("xz", "bzip2");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-cache-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const port = (): FileObjects => new FileObjects(join(directory, "cache"), "file:///cache");

describe.skipIf(!hasPackers)("a binary cache in a directory (skipped without xz-utils and bzip2)", () => {
  it.each(["none", "xz", "zstd", "gzip", "br", "bzip2"] as const)(
    "gives back what was put in, packed with %s",
    async (compression) => {
      const glibc = sample("glibc", "glibc".repeat(10_000));
      const hello = sample("hello", noise(300_000), [glibc]);
      const big = sample("big", noise(compression === "zstd" ? 6_000_000 : 100_000, 7), [glibc, hello]);
      const store = cacheOver(port(), { compression });
      await store.addPaths([glibc.incoming, hello.incoming, big.incoming], ADD);
      const fresh = cacheOver(port());
      expect(await fresh.queryValidPaths([glibc.path, hello.path, big.path])).toEqual(
        new Set([glibc.path, hello.path, big.path]),
      );
      for (const { path, info, nar } of [glibc, hello, big]) {
        expect((await fresh.queryPathInfos([path])).get(path)).toEqual({
          ...info,
          narHash: Uint8Array.from(info.narHash),
        });
        expect(Buffer.compare(await bytesOf(fresh.narFromPath(path, 0n)), nar)).toBe(0);
      }
      expect(readFileSync(join(directory, "cache/nix-cache-info"), "utf8")).toBe("StoreDir: /nix/store\n");
      // Nothing unfinished stays behind.
      expect(readdirSync(join(directory, "cache/nar")).filter((name) => name.startsWith("."))).toEqual([]);
      expect((await fresh.queryAllValidPaths()).sort()).toEqual([glibc.path, hello.path, big.path].sort());
    },
  );

  it("signs what is written and keeps other signatures", async () => {
    const key = generateSecretKey("test-1");
    const hello = sample("hello");
    const store = cacheOver(port(), { secretKeys: [key] });
    await store.addPaths([{ ...hello.incoming, info: { ...hello.info, signatures: ["other:AAAA"] } }], ADD);
    const info = (await cacheOver(port()).queryPathInfos([hello.path])).get(hello.path)!;
    expect(info.signatures).toHaveLength(2);
    expect(info.signatures).toContain("other:AAAA");
    expect(validSignatures(info, new Map([["test-1", publicKeyOf(key)]]))).toEqual(new Set(["test-1"]));
  });

  it("refuses a path whose reference is missing, in Nix's words", async () => {
    const glibc = sample("glibc");
    const hello = sample("hello", "hello", [glibc]);
    await expect(cacheOver(port()).addPaths([hello.incoming], ADD)).rejects.toThrow(
      `cannot add '${hello.path}' to the binary cache because the reference '${glibc.path}' is not valid`,
    );
    expect(await cacheOver(port()).queryValidPaths([hello.path])).toEqual(new Set());
  });

  it("refuses a cache of another store directory", async () => {
    const store = cacheOver(port());
    await store.addPaths([sample("hello").incoming], ADD);
    writeFileSync(join(directory, "cache/nix-cache-info"), "StoreDir: /gnu/store\nPriority: 10\n");
    await expect(cacheOver(port()).describe()).rejects.toThrow(
      "binary cache 'file:///cache' is for Nix stores with prefix '/gnu/store', not '/nix/store'",
    );
  });

  it("lets a narinfo name no file outside of the cache", async () => {
    const hello = sample("hello");
    await cacheOver(port()).addPaths([hello.incoming], ADD);
    const file = join(directory, `cache/${hashPartOf(hello.path)}.narinfo`);
    const narInfo = parseNarInfo(readFileSync(file, "utf8"), file);
    writeFileSync(file, printNarInfo({ ...narInfo, url: "../../../etc/passwd" }));
    await expect(bytesOf(cacheOver(port()).narFromPath(hello.path, 0n))).rejects.toMatchObject({
      code: "CACHE_KEY_MALFORMED",
    });
  });
});

describe.skipIf(!hasPackers)("a cache that lies (skipped without xz-utils and bzip2)", () => {
  type Lie = (text: string, nar: Buffer) => { text?: string; nar?: Buffer };
  const hello = sample("hello", noise(200_000));
  const other = sample("other");
  const lies: readonly (readonly [string, string, Lie])[] = [
    ["another path", "CACHE_NARINFO_OTHER_PATH", (text) => ({ text: text.replace(hello.path, other.path) })],
    ["a narinfo that is none", "CACHE_NARINFO_BAD", () => ({ text: "<html>\n" })],
    ["a narinfo without end", "CACHE_OBJECT_TOO_LARGE", () => ({ text: "a: b\n".repeat(1_000_000) })],
    [
      "a wrong NAR hash",
      "CACHE_NAR_HASH_MISMATCH",
      (text) => ({ text: text.replace(/NarHash: sha256:\w+/, `NarHash: sha256:${"0".repeat(52)}`) }),
    ],
    [
      "a NAR that is too short",
      "CACHE_NAR_TRUNCATED",
      (text) => ({ text: text.replace(/NarSize: \d+/, "NarSize: 999999") }),
    ],
    [
      "a NAR that is too long",
      "CACHE_NAR_TOO_LARGE",
      (text) => ({ text: text.replace(/NarSize: \d+/, "NarSize: 1000") }),
    ],
    ["a truncated file", "CACHE_NAR_TRUNCATED", (_, nar) => ({ nar: nar.subarray(0, nar.length - 10) })],
    ["a file with more behind it", "CACHE_FILE_SIZE", (_, nar) => ({ nar: Buffer.concat([nar, nar]) })],
    [
      "another packing",
      "CACHE_NAR_CORRUPT",
      (text) => ({ text: text.replace("Compression: zstd", "Compression: xz") }),
    ],
    [
      "a packing nobody knows",
      "CACHE_NAR_COMPRESSION",
      (text) => ({ text: text.replace("Compression: zstd", "Compression: lzip") }),
    ],
    [
      "a flipped bit",
      "CACHE_",
      (_, nar) => ({ nar: Buffer.from(nar.map((byte, index) => (index === 100 ? byte ^ 1 : byte))) }),
    ],
    ["no NAR at all", "CACHE_NAR_MISSING", (text) => ({ text: text.replace(/URL: .*/, "URL: nar/nothing.nar") })],
  ];

  it.each(lies)("is refused: %s", async (_name, code, lie) => {
    await cacheOver(port()).addPaths([hello.incoming], ADD);
    const root = join(directory, "cache");
    const narInfoFile = join(root, `${hashPartOf(hello.path)}.narinfo`);
    const text = readFileSync(narInfoFile, "utf8");
    const narFile = join(root, /URL: (.*)/.exec(text)![1]!);
    const changed = lie(text, readFileSync(narFile));
    if (changed.text !== undefined) writeFileSync(narInfoFile, changed.text);
    if (changed.nar !== undefined) writeFileSync(narFile, changed.nar);
    const failure = await bytesOf(cacheOver(port()).narFromPath(hello.path, 0n)).then(
      () => null,
      (error: { code: string; message: string }) => error,
    );
    expect(failure?.code).toMatch(new RegExp(`^${code}`));
    if (code !== "CACHE_OBJECT_TOO_LARGE") expect(failure?.message).toContain(hello.path);
  });

  it("is read, as by Nix, when it is wrong about the packed file's hash only", async () => {
    await cacheOver(port()).addPaths([hello.incoming], ADD);
    const narInfoFile = join(directory, "cache", `${hashPartOf(hello.path)}.narinfo`);
    const text = readFileSync(narInfoFile, "utf8");
    const wrong = text.replace(/FileHash: sha256:\w+/, `FileHash: sha256:${"0".repeat(52)}`);
    expect(wrong).not.toBe(text);
    writeFileSync(narInfoFile, wrong);
    expect(Buffer.compare(await bytesOf(cacheOver(port()).narFromPath(hello.path, 0n)), hello.nar)).toBe(0);
  });

  it("is stopped where it should end: a bomb is not unpacked", async () => {
    const zeros = sample("zeros", Buffer.alloc(60 * 1024 * 1024));
    for (const compression of ["zstd", "gzip", "xz"] as const) {
      await cacheOver(port(), { compression, level: 1 }).addPaths([zeros.incoming], ADD);
      const root = join(directory, "cache");
      const file = join(root, `${hashPartOf(zeros.path)}.narinfo`);
      writeFileSync(file, readFileSync(file, "utf8").replace(/NarSize: \d+/, "NarSize: 2000"));
      let read = 0;
      const reading = async (): Promise<void> => {
        for await (const chunk of cacheOver(port()).narFromPath(zeros.path, 0n)) read += chunk.length;
      };
      await expect(reading()).rejects.toMatchObject({ code: "CACHE_NAR_TOO_LARGE" });
      expect(read).toBeLessThanOrEqual(2 * 1024 * 1024);
      rmSync(root, { recursive: true });
    }
  });

  it("says what the file is really packed with", async () => {
    await cacheOver(port()).addPaths([hello.incoming], ADD);
    const file = join(directory, `cache/${hashPartOf(hello.path)}.narinfo`);
    writeFileSync(file, readFileSync(file, "utf8").replace("Compression: zstd", "Compression: gzip"));
    await expect(bytesOf(cacheOver(port()).narFromPath(hello.path, 0n))).rejects.toThrow(
      "its file should be packed with gzip, but is packed with zstd",
    );
  });
});

describe("what is remembered on disk", () => {
  it("spares questions for as long as it may", async () => {
    await using server = await startObjectServer();
    const clock = createFakeClock(1_000_000_000_000);
    const disk = (negativeTtl: number): DiskCache => new DiskCache({ directory, clock, positiveTtl: 100, negativeTtl });
    const hello = sample("hello");
    const missing = sample("missing");
    const writer = cacheOver(httpPort(server.url).port, { diskCache: null });
    await writer.addPaths([hello.incoming], ADD);
    const ask = async (negativeTtl = 10): Promise<number> => {
      const before = server.requests.length;
      const cache = disk(negativeTtl);
      const infos = await cacheOver(httpPort(server.url).port, { diskCache: cache }).queryPathInfos([
        hello.path,
        missing.path,
      ]);
      cache.close();
      expect([...infos.keys()]).toEqual([hello.path]);
      return server.requests.length - before;
    };
    expect(await ask()).toBe(2);
    expect(await ask()).toBe(0);
    expect(await ask(0)).toBe(1);
    clock.advance(11_000);
    expect(await ask()).toBe(1);
    clock.advance(100_000);
    expect(await ask()).toBe(2);
  });

  it("learns of what is written, and forgets what is gone", async () => {
    await using server = await startObjectServer();
    const disk = new DiskCache({ directory, clock: systemClock, positiveTtl: 100, negativeTtl: 100 });
    const hello = sample("hello");
    expect((await cacheOver(httpPort(server.url).port, { diskCache: disk }).queryPathInfos([hello.path])).size).toBe(0);
    await cacheOver(httpPort(server.url).port, { diskCache: disk }).addPaths([hello.incoming], ADD);
    const reader = cacheOver(httpPort(server.url).port, { diskCache: disk });
    expect(Buffer.compare(await bytesOf(reader.narFromPath(hello.path, 0n)), hello.nar)).toBe(0);
    server.objects.clear();
    const late = cacheOver(httpPort(server.url).port, { diskCache: disk });
    await expect(bytesOf(late.narFromPath(hello.path, 0n))).rejects.toMatchObject({ code: "CACHE_NAR_MISSING" });
    expect((await late.queryPathInfos([hello.path])).size).toBe(0);
    disk.close();
  });

  it("is nothing to fail for", async () => {
    writeFileSync(join(directory, "file"), "");
    const disk = new DiskCache({
      directory: join(directory, "file"),
      clock: systemClock,
      positiveTtl: 1,
      negativeTtl: 1,
    });
    disk.remember("uri", "hash", "text");
    expect(disk.lookup("uri", "hash")).toEqual({ type: "unknown" });
    expect(hashBytes("sha256", "").digest.length).toBe(32);
  });
});
