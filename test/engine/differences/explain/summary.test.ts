import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { SUMMARY_LINES, summarise } from "../../../../src/engine/differences/explain/summary.ts";
import type { NarTree } from "../../../../src/engine/formats/nar/tree.ts";
import { directory, file, link, nar } from "../compare/trees.ts";

const context = { hostNames: ["mac.example.org", "b2"], builtAt: Date.UTC(2024, 4, 1, 12) };

async function summary(
  first: NarTree,
  other: NarTree,
): Promise<{ lines: readonly string[]; causes: readonly string[] }> {
  return summarise(nar(first), nar(other), context);
}

describe("summarise", () => {
  it("says one finding a line", async () => {
    const { lines } = await summary(
      directory({ a: file("12"), link: link("x"), tool: file("x", true), text: file("one\n") }),
      directory({ b: file("123"), link: link("y"), tool: file("x"), text: file("two!\n") }),
    );
    expect(lines).toEqual([
      "a: only in the first result (file, 2 bytes)",
      "b: only in the other result (file, 3 bytes)",
      "link: symlink to 'x' in the first result, to 'y' in the other",
      "text: 4 and 5 bytes, first at byte 0: 6f 6e 65 0a 'one.' and 74 77 6f 21 0a 'two!.'",
      "tool: executable in the first result, not executable in the other",
    ]);
  });

  it("describes the manual's example", async () => {
    const { lines, causes } = await summary(file("8108\n"), file("30204\n"));
    expect(lines).toEqual([
      ".: 5 and 6 bytes, first at byte 0: 38 31 30 38 0a '8108.' and 33 30 32 30 34 0a '30204.'; " +
        "looks like randomness, a process ID or a counter: '8108' and '30204'",
    ]);
    expect(causes).toEqual(["randomness"]);
  });

  it("stays within a screenful", async () => {
    const many = (text: string): NarTree =>
      directory(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`f${index}`, file(text)])));
    const { lines } = await summary(many("a"), many("b"));
    expect(lines).toHaveLength(SUMMARY_LINES);
    expect(lines.at(-1)).toBe("... and 31 more differences");
  });
});

const tar = (name: string, mtime: string): Buffer => {
  const block = Buffer.alloc(1024);
  block.write(name, 0);
  block.write("0000644\0", 100);
  block.write(mtime, 136);
  block.write("ustar\0", 257);
  block.write("contents", 512);
  return block;
};
const ar = (mtime: string): string =>
  `!<arch>\n${"a.o/".padEnd(16)}${mtime.padEnd(12)}0     0     644     4         \`\nbody`;
const zip = (time: number): Buffer => {
  const header = Buffer.alloc(40);
  header.write("PK\u0003\u0004", 0, "latin1");
  header.writeUInt32LE(time, 10);
  header.write("name", 30);
  return header;
};
const gzip = (time: number): Buffer => {
  const bytes = gzipSync("contents");
  bytes.writeUInt32LE(time, 4);
  return bytes;
};
const elf = (id: string): Buffer =>
  Buffer.concat([
    Buffer.from("\u007fELF".padEnd(64, "\0")),
    Buffer.from("040000001400000003000000474e5500", "hex"),
    Buffer.from(id.repeat(20), "hex"),
  ]);
/** A build ID at the beginning, and a text where a program has its constants: beyond what is kept around the first difference. */
const program = (id: string, constant: string): Buffer =>
  Buffer.concat([elf(id), Buffer.alloc(70_000), Buffer.from(`\0${constant}\0`), Buffer.alloc(500)]);
const text = "one thing and another, ".repeat(300);
const seconds = (second: number): Buffer => {
  const bytes = Buffer.alloc(64);
  bytes.writeUInt32LE(context.builtAt / 1000 + second, 32);
  return bytes;
};
const noise = (seed: number): Buffer => {
  const bytes = Buffer.alloc(256);
  let state = seed;
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
};

describe("the cause that is guessed", () => {
  it.each<[string, string | Uint8Array, string | Uint8Array, string, RegExp]>([
    ["seconds since 1970", "built at 1714561200\n", "built at 1714561260\n", "timestamp", /2024-05-01T11:00:00Z/],
    ["milliseconds", '{"t":1714561200123}', '{"t":1714561260456}', "timestamp", /2024-05-01T11:01:00Z/],
    ["an ISO date", "at 2024-05-01T12:00:01Z.\n", "at 2024-05-01T12:00:07Z.\n", "timestamp", /'2024-05-01T12:00:01Z'/],
    ["date(1)", "Wed May  1 12:00:01 UTC 2024", "Wed May  1 12:03:01 UTC 2024", "timestamp", /May/],
    ["__DATE__ and __TIME__", "May  1 2024 12:00:01", "May  2 2024 12:00:01", "timestamp", /May/],
    ["a gzip header", gzip(1714561200), gzip(1714561201), "timestamp", /gzip header/],
    ["an ar member", ar("1714561200"), ar("1714561209"), "timestamp", /ar member/],
    ["a zip entry", zip(0x58a16000), zip(0x58a16020), "timestamp", /zip entry/],
    ["a tar header", tar("a", "14614427660\0"), tar("a", "14614427661\0"), "timestamp", /tar header/],
    ["binary seconds", seconds(0), seconds(3), "timestamp", /little-endian/],
    ["a build directory", 'cc "/build/x.c"', 'cc "/tmp/nix-build-x.drv-0/x.c"', "buildPath", /'\/build\/x.c'/],
    ["build directories", "/tmp/nix-build-x.drv-0/x.c", "/tmp/nix-build-x.drv-1/x.c", "buildPath", /drv-1/],
    [
      "those of Nix 2.34",
      "/nix/var/nix/builds/nix-1-2/build/a",
      "/nix/var/nix/builds/nix-33-4/build/a",
      "buildPath",
      /nix-33-4/,
    ],
    ["lines in another order", "alpha\nbeta\ngamma\n", "gamma\nalpha\nbeta\n", "ordering", /same lines/],
    ["words in another order", "deps: alpha beta gamma\n", "deps: gamma alpha beta\n", "ordering", /same words/],
    ["a sort by language", "B\na\n", "a\nB\n", "locale", /sorted once by bytes/],
    ["files of a tar archive", tar("a", "0"), tar("b", "0"), "ordering", /tar archive/],
    ["a decimal comma", "took 1.50 s", "took 1,50 s", "locale", /decimal point/],
    ["LC_ALL", "LC_ALL=C\n", "LC_ALL=en_US.UTF-8\n", "locale", /LC_ALL/],
    [
      "a UUID",
      "id 0e3c2a3e-9f0f-4c2c-8f3a-0242ac130002",
      "id 7f1d1c1a-1b1c-4d1e-9f1a-0242ac130002",
      "randomness",
      /UUID/,
    ],
    ["a hash", `h="${"0123456789abcdef".repeat(2)}"`, `h="${"fedcba9876543210".repeat(2)}"`, "randomness", /hash/],
    ["a host name", "built on mac", "built on b2", "hostName", /'mac' and 'b2'/],
    ["a process ID", "pid 4711 done", "pid 31337 done", "randomness", /process ID/],
    ["a store path", `/nix/store/${"a".repeat(32)}-x/bin`, `/nix/store/${"b".repeat(32)}-x/bin`, "storePath", /-x/],
    ["a build ID", elf("aa"), elf("bb"), "buildId", /build ID/],
    ["noise", noise(1), noise(99), "randomness", /nothing in common/],
    [
      "a build ID that follows from a build path far behind it",
      program("aa", "/tmp/nix-build-x.drv-0/main.c"),
      program("bb", "/tmp/nix-build-x.drv-1/main.c"),
      "buildPath",
      /drv-0\/main.c' and '.*drv-1\/main.c', at byte 70/,
    ],
    ["a build ID and a date", program("aa", "12:00:01"), program("bb", "12:00:07"), "timestamp", /12:00:07', at byte/],
    [
      "a compressed archive",
      gzipSync(tar("a", "1461")),
      gzipSync(tar("a", "1462")),
      "timestamp",
      /tar header, in comp/,
    ],
    [
      "two ways to compress",
      gzipSync(text, { level: 1 }),
      gzipSync(text, { level: 9 }),
      "compression",
      /the same contents/,
    ],
    ["members of JSON", '{"a":1,"b":[2]}', '{"b":[2],"a":1}', "ordering", /same words/],
    ["addresses", "<x at 0x7f3a2c0d1e50>", "<x at 0x7fb1990c2e50>", "randomness", /an address in memory/],
    ["mktemp", "/tmp/tmp.2a1yvLWxQ4", "/tmp/tmp.5pJapTmO8w", "randomness", /a generated name/],
    ["digits of a hash", "7b2d14d09be1f3a2", "4bc2d8149be1f3a7", "randomness", /hash of something/],
  ])("is right for %s", async (_, first, other, cause, words) => {
    const { lines, causes } = await summary(directory({ f: file(first) }), directory({ f: file(other) }));
    expect(lines[0]).toMatch(words);
    expect(causes).toEqual([cause]);
  });

  it.each<[string, string, string, RegExp]>([
    ["cores", "make -j4 all", "make -j16 all", /the number of cores: '-j4' and '-j16'/],
    ["kernels", "Linux 6.1.0-18-amd64", "Linux 6.6.13", /a version .*'6\.1\.0-18-amd64' and '6\.6\.13'/],
  ])("is put into words where it is of no known kind: %s", async (_, first, other, words) => {
    const { lines, causes } = await summary(file(first), file(other));
    expect(lines[0]).toMatch(words);
    expect(causes).toEqual([]);
  });

  it("is told of symlinks, too", async () => {
    const { lines, causes } = await summary(link("/tmp/nix-build-x.drv-0/a"), link("/tmp/nix-build-x.drv-1/a"));
    expect(lines[0]).toMatch(/; looks like a build path: /);
    expect(causes).toEqual(["buildPath"]);
  });

  it("is none where nothing speaks for one", async () => {
    const { lines, causes } = await summary(file("some text"), file("any prose"));
    expect(causes).toEqual([]);
    expect(lines[0]).not.toContain("looks like");
  });
});
