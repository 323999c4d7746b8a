import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ByteString } from "../../../../../src/engine/formats/byte-string.ts";
import type { NarTree } from "../../../../../src/engine/formats/nar/tree.ts";
import { canonicalise } from "../../../../../src/engine/stores/embedded/files/canonicalise.ts";
import { dumpPath, hashPath } from "../../../../../src/engine/stores/embedded/files/dump.ts";
import { removeTree } from "../../../../../src/engine/stores/embedded/files/remove.ts";
import { restorePath } from "../../../../../src/engine/stores/embedded/files/restore.ts";
import { encodeTree } from "../../../../support/nar-tree.ts";
import { collect } from "../support.ts";

let directory: string;
let count = 0;
const fresh = (): string => join(directory, `tree-${count++}`);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsbt-files-"));
});
afterEach(async () => {
  await removeTree(directory);
});

// Names and targets of raw bytes, not only of UTF-8.
const bytes = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((raw) => Buffer.from(raw).toString("latin1").replace(/[\0/]/g, "_") as ByteString)
  .filter((name) => name !== "." && name !== "..");

const trees = fc.letrec<{ tree: NarTree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    fc.record({
      type: fc.constant("file" as const),
      executable: fc.boolean(),
      contents: fc.uint8Array({ maxLength: 300 }),
    }),
    fc.record({ type: fc.constant("symlink" as const), target: bytes }),
    fc.record({
      type: fc.constant("directory" as const),
      entries: fc.array(fc.tuple(bytes, tie("tree")), { maxLength: 4 }).map((entries) => new Map(entries)),
    }),
  ),
})).tree;

describe("NARs and the disk", () => {
  it("give each other back, whatever the names and wherever the stream is cut", async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 500 }), async (tree, size) => {
        const nar = encodeTree(tree);
        const path = fresh();
        const pieces = Array.from({ length: Math.ceil(nar.length / size) }, (_, at) =>
          nar.subarray(at * size, (at + 1) * size),
        );
        await restorePath(pieces, path);
        expect(Buffer.compare(await collect(dumpPath(path)), nar)).toBe(0);
        await removeTree(path);
        expect(readdirSync(directory)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it("agree on files too large for one piece", async () => {
    const contents = Buffer.alloc(3 * 1024 * 1024 + 5);
    for (let at = 0; at < contents.length; at += 7) contents[at] = at % 251;
    const nar = encodeTree({ type: "file", executable: false, contents });
    const path = fresh();
    await restorePath([nar], path);
    expect(Buffer.compare(readFileSync(path), contents)).toBe(0);
    expect(Buffer.compare(await collect(dumpPath(path)), nar)).toBe(0);
    const { narSize } = await hashPath(path);
    expect(narSize).toBe(BigInt(nar.length));
  });

  it("can be broken off in the middle of a large file", async () => {
    const path = fresh();
    writeFileSync(path, Buffer.alloc(5 * 1024 * 1024));
    for await (const chunk of dumpPath(path)) if (chunk.length > 1000) break;
    expect(lstatSync(path).size).toBe(5 * 1024 * 1024);
  });

  it("refuse what is no file, directory or symlink", async () => {
    const path = fresh();
    mkdirSync(path);
    const server = createServer().listen(join(path, "socket"));
    await expect(collect(dumpPath(path))).rejects.toMatchObject({ code: "STORE_BAD_FILE_TYPE" });
    await expect(canonicalise(path)).rejects.toMatchObject({ code: "STORE_BAD_FILE_TYPE" });
    server.close();
  });
});

describe("restoring", () => {
  it("gives files the store's metadata", async () => {
    const path = fresh();
    const entries = new Map<ByteString, NarTree>([
      ["x" as ByteString, { type: "file", executable: true, contents: Buffer.from("x") }],
      ["y" as ByteString, { type: "file", executable: false, contents: Buffer.from("y") }],
      ["z" as ByteString, { type: "symlink", target: "nowhere" as ByteString }],
    ]);
    await restorePath([encodeTree({ type: "directory", entries })], path);
    const modes = ["", "x", "y"].map((name) => lstatSync(join(path, name)).mode & 0o7777);
    expect(modes).toEqual([0o555, 0o555, 0o444]);
    for (const name of ["", "x", "y", "z"]) expect(lstatSync(join(path, name)).mtimeMs).toBe(1000);
    expect(readlinkSync(join(path, "z"))).toBe("nowhere");
  });

  it("touches nothing that is there, and takes nothing that is cut or too long", async () => {
    const path = fresh();
    const nar = encodeTree({ type: "file", executable: false, contents: Buffer.from("new") });
    writeFileSync(path, "old");
    await expect(restorePath([nar], path)).rejects.toMatchObject({ code: "STORE_WRITE_FAILED" });
    expect(readFileSync(path, "utf8")).toBe("old");
    const link = fresh();
    symlinkSync(path, link);
    await expect(restorePath([nar], link)).rejects.toMatchObject({ code: "STORE_WRITE_FAILED" });
    await expect(restorePath([nar.subarray(0, nar.length - 8)], fresh())).rejects.toMatchObject({
      code: "NAR_TRUNCATED",
    });
    await expect(restorePath([nar, nar.subarray(0, 8)], fresh())).rejects.toMatchObject({ code: "NAR_TRAILING" });
  });

  it("refuses names that lead elsewhere", async () => {
    for (const name of ["..", ".", "a/b"]) {
      const honest = encodeTree({
        type: "directory",
        entries: new Map([["x".repeat(name.length) as ByteString, { type: "symlink", target: "t" as ByteString }]]),
      });
      const hostile = Buffer.from(
        Buffer.from(honest).toString("latin1").replace("x".repeat(name.length), name),
        "latin1",
      );
      await expect(restorePath([hostile], fresh())).rejects.toMatchObject({ code: "NAR_MALFORMED" });
    }
  });
});

describe("canonicalising", () => {
  it("leaves 0444, 0555, mtime 1 and nothing else", async () => {
    const path = fresh();
    mkdirSync(join(path, "closed"), { recursive: true });
    writeFileSync(join(path, "closed", "setuid"), "");
    chmodSync(join(path, "closed", "setuid"), 0o4755);
    writeFileSync(join(path, "group"), "");
    chmodSync(join(path, "group"), 0o671);
    linkSync(join(path, "group"), join(path, "again"));
    symlinkSync("x", join(path, "link"));
    utimesSync(join(path, "group"), 5, 1e9);
    chmodSync(join(path, "closed"), 0o000);
    await canonicalise(path);
    const mode = (name: string): number => lstatSync(join(path, name)).mode & 0o7777;
    expect(["", "closed", "closed/setuid", "group", "again"].map(mode)).toEqual([0o555, 0o555, 0o555, 0o444, 0o444]);
    for (const name of ["", "closed", "closed/setuid", "group", "link"]) {
      expect(lstatSync(join(path, name)).mtimeMs).toBe(1000);
    }
  });
});

describe("removing", () => {
  it("removes what may not be written to, and says what it freed", async () => {
    const path = fresh();
    mkdirSync(join(path, "deep"), { recursive: true });
    writeFileSync(join(path, "deep", "file"), Buffer.alloc(100_000));
    await canonicalise(path);
    const freed = await removeTree(path);
    expect(freed).toBeGreaterThanOrEqual(100_000n);
    expect(() => lstatSync(path)).toThrow(/ENOENT/);
    expect(await removeTree(path)).toBe(0n);
  });

  it("does not follow symlinks", async () => {
    const kept = fresh();
    mkdirSync(kept);
    const path = fresh();
    mkdirSync(path);
    symlinkSync(kept, join(path, "link"));
    await removeTree(path);
    expect(lstatSync(kept).isDirectory()).toBe(true);
    rmSync(kept, { recursive: true });
  });
});
