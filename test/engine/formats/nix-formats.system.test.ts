// Formats beside real Nix: hashes, content-addressed paths, NARs, keys, signatures and narinfo files that it makes or takes.
import { createHash } from "node:crypto";
import { chmodSync, createReadStream, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ByteString, byteStringOf, fromBytes } from "../../../src/engine/formats/byte-string.ts";
import {
  contentAddressedPath,
  isContentAddressed,
  printContentAddress,
} from "../../../src/engine/formats/content-address.ts";
import { hashBytes, parseHash, printHash } from "../../../src/engine/formats/hash.ts";
import { makeTextPath } from "../../../src/engine/formats/make-store-path.ts";
import { parseNar } from "../../../src/engine/formats/nar/read.ts";
import type { NarTree } from "../../../src/engine/formats/nar/tree.ts";
import { parseNarInfo, printNarInfo } from "../../../src/engine/formats/narinfo.ts";
import {
  parsePublicKey,
  parseSecretKey,
  publicKeyMap,
  signPath,
  validSignatures,
} from "../../../src/engine/formats/signature.ts";
import { hashPartOf, parseStorePath } from "../../../src/engine/formats/store-path.ts";
import { hashModulo, rewriteStream } from "../../../src/engine/stores/embedded/executor/outputs/rewrite.ts";
import { encodeTree, TreeCollector } from "../../support/nar-tree.ts";
import { atLeast, nixGenerations } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { gather } from "./chunks.ts";
import { scanReferences } from "./scan.ts";

const generations = await nixGenerations();

const tree: NarTree = {
  type: "directory",
  entries: new Map<ByteString, NarTree>([
    [byteStringOf("a"), { type: "file", executable: false, contents: new Uint8Array(0) }],
    [byteStringOf("a.b"), { type: "file", executable: true, contents: Buffer.from("#!/bin/sh\n") }],
    [byteStringOf("a-b"), { type: "symlink", target: byteStringOf("../ä/nowhere") }],
    [byteStringOf("ünï"), { type: "directory", entries: new Map() }],
    [
      fromBytes(Uint8Array.of(0xff, 0xfe, 0x20)),
      { type: "file", executable: false, contents: Buffer.alloc(200_001, 7) },
    ],
    [
      byteStringOf("Z"),
      {
        type: "directory",
        entries: new Map([[byteStringOf("z"), { type: "file", executable: false, contents: Buffer.from("1234567") }]]),
      },
    ],
  ]),
};

describe.each(generations)("formats of Nix $version", (generation) => {
  let instance: NixInstance;
  let work: string;

  beforeAll(async () => {
    instance = await createInstance(generation);
    work = join(instance.directory, "nix/work");
    mkdirSync(work);
    restore(tree, Buffer.from(join(work, "tree")));
  });
  afterAll(() => instance.remove());

  it("prints hashes alike", async () => {
    writeFileSync(join(work, "file"), "some bytes");
    for (const algorithm of ["md5", "sha1", "sha256", "sha512"] as const) {
      const hash = hashBytes(algorithm, "some bytes");
      const ask = (...flags: string[]) =>
        instance.output("nix-hash", ["--flat", "--type", algorithm, ...flags, "/nix/work/file"]);
      expect(printHash(hash, "hex", false)).toBe(await ask());
      expect(printHash(hash, "nix32", false)).toBe(await ask("--base32"));
      const sri = await instance.output("nix", ["hash", "file", "--type", algorithm, "/nix/work/file"]);
      expect(printHash(hash, "sri", true)).toBe(sri);
      expect(parseHash(sri)).toEqual(hash);
    }
  });

  it("dumps trees alike and reads its dumps", async () => {
    writeFileSync(join(work, "ours.nar"), encodeTree(tree));
    await instance.output("sh", ["-c", "nix-store --dump /nix/work/tree > /nix/work/theirs.nar"]);
    const theirs = readFileSync(join(work, "theirs.nar"));
    expect(Buffer.compare(encodeTree(tree), theirs)).toBe(0);
    const collector = new TreeCollector(1e9);
    for await (const batch of parseNar([theirs])) for (const event of batch) collector.push(event);
    expect(Buffer.compare(encodeTree(collector.finish()), theirs)).toBe(0);
    await instance.output("sh", ["-c", "nix-store --restore /nix/work/restored < /nix/work/ours.nar"]);
    expect(readdirSync(join(work, "restored")).length).toBe(6);
  });

  it("computes the paths of added contents alike", async () => {
    const nar = encodeTree(tree);
    const add = (...args: string[]) => instance.output("nix-store", args);
    expect(contentAddressedPath("tree", { method: "nar", hash: hashBytes("sha256", nar) })).toBe(
      await add("--add", "/nix/work/tree"),
    );
    for (const algorithm of ["md5", "sha1", "sha256", "sha512"] as const) {
      const flat = contentAddressedPath("file", { method: "flat", hash: hashBytes(algorithm, "some bytes") });
      expect(flat).toBe(await add("--add-fixed", algorithm, "/nix/work/file"));
      const recursive = contentAddressedPath("tree", { method: "nar", hash: hashBytes(algorithm, nar) });
      expect(recursive).toBe(await add("--add-fixed", "--recursive", algorithm, "/nix/work/tree"));
    }
  });

  it("computes the path of a text with references alike, and finds the references", async () => {
    const expression = `let a = builtins.toFile "a" "a"; in builtins.toFile "b" "x\${a} \${builtins.toFile "c" "c"}"`;
    const path = parseStorePath(
      JSON.parse(await instance.output("nix-instantiate", ["--eval", "--read-write-mode", "--expr", expression])),
    );
    const contents = readFileSync(instance.hostPath(path));
    const everything = readdirSync(instance.hostPath("/nix/store"))
      .filter((name) => !name.startsWith("."))
      .map((name) => parseStorePath(`/nix/store/${name}`));
    const references = await scanReferences([contents], everything);
    expect(references.length).toBe(2);
    expect(makeTextPath("b", hashBytes("sha256", contents), references)).toBe(path);
  });

  it("signs and verifies alike, and reads and writes its narinfo files", async () => {
    await instance.output("nix-store", [
      "--generate-binary-cache-key",
      "test-1",
      "/nix/work/secret",
      "/nix/work/public",
    ]);
    const secret = parseSecretKey(readFileSync(join(work, "secret"), "utf8"));
    const keys = publicKeyMap([readFileSync(join(work, "public"), "utf8")]);
    expect(parsePublicKey(readFileSync(join(work, "public"), "utf8")).bytes).toEqual(secret.publicKey);
    const expression = `derivation { name = "r"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $out \${builtins.toFile "t" "t"} > $out" ]; }`;
    const path = await instance.output("nix-build", ["--no-out-link", "--expr", expression]);
    await instance.output("nix", ["store", "sign", "-k", "/nix/work/secret", path]);
    await instance.output("nix", ["copy", "--to", "file:///nix/work/cache?compression=none", path]);
    const file = readdirSync(join(work, "cache")).find((name) => path.includes(name.replace(".narinfo", "")))!;
    const text = readFileSync(join(work, "cache", file), "utf8");
    const narInfo = parseNarInfo(text, file);
    expect(narInfo.info.references.length).toBe(2);
    expect(validSignatures(narInfo.info, keys)).toEqual(new Set(["test-1"]));
    expect(narInfo.info.signatures).toEqual([signPath(narInfo.info, secret)]);
    expect(printNarInfo(narInfo)).toBe(text);
    const nar = readFileSync(join(work, "cache", narInfo.url));
    expect(createHash("sha256").update(nar).digest()).toEqual(Buffer.from(narInfo.info.narHash));
    expect(await scanReferences([nar], narInfo.info.references)).toEqual(narInfo.info.references);
  });

  it("agrees on a content-addressed path that refers to itself", async () => {
    const expression = `derivation { name = "s"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $out \${builtins.toFile "t" "t"} > $out" ]; }`;
    const path = await instance.output("nix-build", ["--no-out-link", "--expr", expression]);
    const rewritten = await instance.output("nix", ["store", "make-content-addressed", "--json", path]);
    const last = Object.values(JSON.parse(rewritten).rewrites as Record<string, string>).at(-1)!;
    const target =
      Object.entries(JSON.parse(rewritten).rewrites as Record<string, string>).find(([from]) => from === path)?.[1] ??
      last;
    const json = JSON.parse(await instance.output("nix", ["path-info", "--json", target]));
    const info = Array.isArray(json) ? json[0] : json[target];
    const references = (info.references as string[]).map(parseStorePath);
    expect(references).toContain(target);
    expect(isContentAddressed(parseStorePath(target), info.ca, references)).toBe(true);
    expect(isContentAddressed(parseStorePath(target), info.ca, [])).toBe(false);
    await instance.output("sh", ["-c", `nix-store --dump ${target} > /nix/work/self.nar`]);
    const hashPart = hashPartOf(parseStorePath(target)) as ByteString;
    const nar = () => createReadStream(join(work, "self.nar"));
    // From 2.17 on this command leaves out where the hash stood.
    const isBlank = atLeast(generation, "2.17") && !atLeast(generation, "2.35");
    const zeros = new Map([[hashPart, "\0".repeat(hashPart.length) as ByteString]]);
    const hash = isBlank
      ? hashBytes("sha256", await gather(rewriteStream(nar(), zeros)))
      : { algorithm: "sha256" as const, digest: await hashModulo(nar(), "sha256", hashPart) };
    expect(printContentAddress({ method: "nar", hash })).toBe(info.ca);
  });
});

/** Makes the tree on disk at a path of bytes, since names need not be UTF-8. */
function restore(node: NarTree, path: Buffer): void {
  switch (node.type) {
    case "file":
      writeFileSync(path, node.contents);
      chmodSync(path, node.executable ? 0o755 : 0o644);
      return;
    case "symlink":
      symlinkSync(Buffer.from(node.target, "latin1"), path);
      return;
    case "directory":
      mkdirSync(path);
      for (const [name, child] of node.entries) {
        restore(child, Buffer.concat([path, Buffer.from("/"), Buffer.from(name, "latin1")]));
      }
  }
}
