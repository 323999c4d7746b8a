import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineError } from "../../../../src/engine/base/errors.ts";
import { type ByteString, byteStringOf, fromBytes } from "../../../../src/engine/formats/byte-string.ts";
import { MAX_DEPTH, type NarEvent, nameFault } from "../../../../src/engine/formats/nar/event.ts";
import { NarParser } from "../../../../src/engine/formats/nar/parser.ts";
import { copyNar, parseNar, readNar } from "../../../../src/engine/formats/nar/read.ts";
import { type NarTree, treeEvents } from "../../../../src/engine/formats/nar/tree.ts";
import { NarWriter, writeNar } from "../../../../src/engine/formats/nar/write.ts";
import { ByteReader } from "../../../../src/engine/formats/wire/reader.ts";
import { ByteWriter } from "../../../../src/engine/formats/wire/writer.ts";
import { encodeTree, TreeCollector } from "../../../support/nar-tree.ts";
import { everySplit, gather, streamOf } from "../chunks.ts";

/** An archive of tokens as they come, `null` standing for raw bytes. */
function tokens(...values: (string | Uint8Array)[]): Uint8Array {
  const writer = new ByteWriter();
  for (const value of values) typeof value === "string" ? writer.string(value) : writer.raw(value);
  return Uint8Array.from(writer.finish());
}

function file(contents = ""): string[] {
  return ["(", "type", "regular", "contents", contents, ")"];
}

function directory(...entries: (readonly [string, string[]])[]): string[] {
  return [
    "(",
    "type",
    "directory",
    ...entries.flatMap(([name, node]) => ["entry", "(", "name", name, "node", ...node, ")"]),
    ")",
  ];
}

async function treeOf(chunks: Uint8Array[]): Promise<NarTree> {
  const collector = new TreeCollector(1e6);
  for await (const batch of parseNar(streamOf(...chunks))) for (const event of batch) collector.push(event);
  return collector.finish();
}

const anyName = fc
  .uint8Array({ minLength: 1, maxLength: 6 })
  .map(fromBytes)
  .filter((name) => nameFault(name) === null);
const { anyTree } = fc.letrec<{ anyTree: NarTree; directory: NarTree; file: NarTree; symlink: NarTree }>((tie) => ({
  anyTree: fc.oneof({ maxDepth: 3 }, tie("file"), tie("symlink"), tie("directory")),
  file: fc.record({
    type: fc.constant("file" as const),
    executable: fc.boolean(),
    contents: fc.uint8Array({ maxLength: 20 }),
  }),
  symlink: fc.record({ type: fc.constant("symlink" as const), target: anyName }),
  directory: fc.record({
    type: fc.constant("directory" as const),
    entries: fc
      .array(fc.tuple(anyName, tie("anyTree")), { maxLength: 4 })
      .map((entries) => new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)))),
  }),
}));

const sample: NarTree = {
  type: "directory",
  entries: new Map<ByteString, NarTree>([
    [
      byteStringOf("bin"),
      {
        type: "directory",
        entries: new Map([
          [byteStringOf("run"), { type: "file", executable: true, contents: Buffer.from("12345678") }],
        ]),
      },
    ],
    [byteStringOf("empty"), { type: "file", executable: false, contents: Buffer.alloc(0) }],
    [byteStringOf("link"), { type: "symlink", target: byteStringOf("../x") }],
    [byteStringOf("none"), { type: "directory", entries: new Map() }],
    [byteStringOf("text"), { type: "file", executable: false, contents: Buffer.from("hello") }],
  ]),
};

describe("reading and writing NARs", () => {
  it("gives back any tree", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        expect(encodeTree(await treeOf([encodeTree(tree)]))).toEqual(encodeTree(tree));
        const events = [...treeEvents(tree)];
        expect(await gather(writeNar([events]))).toEqual(encodeTree(tree));
      }),
    );
  });

  it("is the same however the stream is cut", async () => {
    const bytes = encodeTree(sample);
    for (const chunks of everySplit(bytes)) expect(await treeOf(chunks)).toEqual(sample);
  });

  it("cut short at any offset is an error", async () => {
    const bytes = encodeTree(sample);
    for (let length = 0; length < bytes.length; length++) {
      await expect(treeOf([bytes.subarray(0, length)])).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
    }
  });

  it("damaged at any byte outside of file contents is an error or another tree, never a crash", async () => {
    const bytes = encodeTree(sample);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = damaged[at]! ^ 0x41;
      const outcome = await treeOf([damaged]).catch((error: unknown) => error);
      if (outcome instanceof EngineError) expect(outcome.code).toMatch(/^NAR_/);
      else expect(Buffer.compare(encodeTree(outcome as NarTree), damaged)).toBe(0);
    }
  });

  it("passes large contents on without copying them", () => {
    const contents = new Uint8Array(1_000_000);
    const writer = new NarWriter();
    for (const event of treeEvents({ type: "file", executable: false, contents })) writer.push(event);
    expect(writer.finish().some((chunk) => chunk === contents)).toBe(true);
  });

  it("looks at 20,000 small files with one await a chunk", async () => {
    const entries = new Map<ByteString, NarTree>();
    for (let index = 0; index < 20_000; index++) {
      entries.set(byteStringOf(`f${index}`), { type: "file", executable: false, contents: Buffer.from(`${index}`) });
    }
    const bytes = encodeTree({ type: "directory", entries });
    let batches = 0;
    let files = 0;
    for await (const batch of parseNar([bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000)])) {
      batches++;
      files += batch.filter((event) => event.type === "file").length;
    }
    expect(batches).toBe(2);
    expect(files).toBe(20_000);
  });
});

describe("a hostile NAR", () => {
  const bad = (...values: (string | Uint8Array)[]) => tokens("nix-archive-1", ...values);
  it.each<[string, Uint8Array]>([
    ["another magic", tokens("nix-archive-2", ...file())],
    ["a login shell's greeting", Buffer.from("Welcome to mac!\nLast login: today\n")],
    ["the name '..'", bad(...directory(["..", file()]))],
    ["the name '.'", bad(...directory([".", file()]))],
    ["an empty name", bad(...directory(["", file()]))],
    ["a slash in a name", bad(...directory(["a/b", file()]))],
    ["a NUL in a name", bad(...directory(["a\0b", file()]))],
    ["a name that is too long", bad(...directory(["a".repeat(1024), file()]))],
    ["repeated names", bad(...directory(["a", file()], ["a", file()]))],
    ["unsorted names", bad(...directory(["b", file()], ["a", file()]))],
    ["an unknown kind", bad("(", "type", "fifo", ")")],
    ["a kind as long as a known one", bad("(", "type", "special", ")")],
    ["a file without contents", bad("(", "type", "regular", ")")],
    ["an executable mark with a value", bad("(", "type", "regular", "executable", "yes", "contents", "", ")")],
    ["an entry without a name", bad("(", "type", "directory", "entry", "(", "node", ...file(), ")", ")")],
    ["an entry without a node", bad("(", "type", "directory", "entry", "(", "name", "a", ")", ")")],
    ["an empty symlink target", bad("(", "type", "symlink", "target", "", ")")],
    ["a symlink target with NUL", bad("(", "type", "symlink", "target", "a\0", ")")],
    ["a symlink target that is too long", bad("(", "type", "symlink", "target", "a".repeat(4096), ")")],
    ["an impossible file size", bad("(", "type", "regular", "contents", new Uint8Array(8).fill(255))],
    [
      "bad padding after contents",
      bad("(", "type", "regular", "contents", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 65, 1, 0, 0, 0, 0, 0, 0)),
    ],
    [
      "bad padding after a target",
      bad("(", "type", "symlink", "target", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, 1)),
    ],
    [
      "deep nesting",
      bad(
        ...Array.from({ length: MAX_DEPTH + 1 }, () => [
          "(",
          "type",
          "directory",
          "entry",
          "(",
          "name",
          "a",
          "node",
        ]).flat(),
      ),
    ],
  ])("with %s is refused, saying where", async (_, bytes) => {
    for (const chunks of [[bytes], [bytes.subarray(0, 20), bytes.subarray(20)]]) {
      await expect(treeOf(chunks)).rejects.toMatchObject({
        code: "NAR_MALFORMED",
        message: expect.stringMatching(/^NAR: at byte \d+: expected .*, found /),
      });
      const parser = new NarParser(null);
      expect(() => {
        for (const chunk of chunks) parser.push(chunk);
      }).toThrow("NAR: at byte");
    }
  });

  it("with bytes behind its end is refused where it must be the whole", async () => {
    await expect(treeOf([Buffer.concat([encodeTree(sample), new Uint8Array(1)])])).rejects.toMatchObject({
      code: "NAR_TRAILING",
    });
  });

  it("with more files than wanted in memory is refused", () => {
    const collector = new TreeCollector(10);
    expect(() => {
      for (const event of treeEvents(sample)) collector.push(event);
    }).toThrow(expect.objectContaining({ code: "NAR_TOO_LARGE" }));
  });
});

describe("a NAR in a longer stream", () => {
  it("is passed on to its end and no further, however the stream is cut", async () => {
    const nar = encodeTree(sample);
    const bytes = Buffer.concat([nar, nar, Buffer.from("after it")]);
    for (const chunks of everySplit(bytes)) {
      const reader = new ByteReader(streamOf(...chunks), "peer");
      expect(Buffer.compare(await gather(copyNar(reader)), nar)).toBe(0);
      const collector = new TreeCollector(1e6);
      for await (const batch of readNar(reader)) for (const event of batch) collector.push(event);
      expect(collector.finish()).toEqual(sample);
      expect(`${Buffer.from(await reader.readExact(8))}`).toBe("after it");
    }
  });

  it("that is cut short, malformed or broken off makes the reader unusable", async () => {
    const nar = encodeTree(sample);
    const cut = new ByteReader(streamOf(nar.subarray(0, 100)), "peer");
    await expect(gather(copyNar(cut))).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
    const malformed = new ByteReader(streamOf(tokens("nix-archive-1", "?", "0123456789")), "peer");
    await expect(gather(copyNar(malformed))).rejects.toMatchObject({ code: "NAR_MALFORMED" });
    const broken = new ByteReader(streamOf(nar.subarray(0, 100), nar.subarray(100)), "peer");
    for await (const _ of copyNar(broken)) break;
    for (const reader of [cut, malformed, broken]) {
      await expect(reader.readU64()).rejects.toMatchObject({ code: "WIRE_UNUSABLE" });
    }
  });
});

describe("the NAR writer", () => {
  const name = (text: string) => byteStringOf(text);
  const root: NarEvent = { type: "directory", name: name("") };
  it.each<[string, NarEvent[]]>([
    ["a named root", [{ type: "directory", name: name("x") }]],
    [
      "unsorted names",
      [
        root,
        { type: "symlink", name: name("b"), target: name("t") },
        { type: "symlink", name: name("a"), target: name("t") },
      ],
    ],
    ["the name '..'", [root, { type: "directory", name: name("..") }]],
    ["an empty target", [{ type: "symlink", name: name(""), target: name("") }]],
    [
      "too many contents",
      [
        { type: "file", name: name(""), executable: false, size: 1 },
        { type: "contents", bytes: new Uint8Array(2) },
      ],
    ],
    ["too few contents", [{ type: "file", name: name(""), executable: false, size: 1 }, { type: "endFile" }]],
    ["contents outside of a file", [root, { type: "contents", bytes: new Uint8Array(2) }]],
    [
      "a file within a file",
      [
        root,
        { type: "file", name: name("a"), executable: false, size: 0 },
        { type: "symlink", name: name("b"), target: name("t") },
      ],
    ],
    ["two roots", [{ type: "symlink", name: name(""), target: name("t") }, root]],
    ["an end without a beginning", [{ type: "endDirectory" }]],
    ["no end", [root]],
  ])("refuses %s", async (_, events) => {
    await expect(gather(writeNar([events]))).rejects.toMatchObject({ code: "NAR_BAD_EVENT" });
  });
});
