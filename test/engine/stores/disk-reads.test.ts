// What is read from the disk is the NAR, and what cannot be read there is left to the daemon.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createHasher } from "../../../src/engine/formats/hash.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import { readFromDisk } from "../../../src/engine/stores/disk-reads.ts";
import { hashPath } from "../../../src/engine/stores/embedded/files/dump.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const tree = (): StorePath => {
  const directory = join(temporaryDirectory("disk-reads"), "tree");
  mkdirSync(join(directory, "sub"), { recursive: true });
  writeFileSync(join(directory, "small"), "small");
  writeFileSync(join(directory, "sub", "large"), Buffer.alloc(3_000_000, 7));
  return directory as StorePath;
};

it("reads the NAR of what lies there", async () => {
  const path = tree();
  const hasher = createHasher("sha256");
  for await (const chunk of readFromDisk(path) ?? []) hasher.update(chunk);
  expect(new Uint8Array(hasher.digest())).toEqual((await hashPath(path)).narHash);
});

it("reads nothing where nothing lies", () => {
  expect(readFromDisk("/nix/store/00000000000000000000000000000000-not-there" as StorePath)).toBeNull();
});

it("stops when nobody wants it any more", async () => {
  const stop = new AbortController();
  const read = async (): Promise<void> => {
    for await (const _ of readFromDisk(tree(), stop.signal) ?? []) stop.abort(new Error("enough"));
  };
  await expect(read()).rejects.toThrow("enough");
});
