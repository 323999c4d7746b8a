// Adds contents whose path follows from them: texts, files and trees, as evaluators send them (Nix: `Store::addToStoreFromDump`).

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import {
  type ContentAddress,
  contentAddressedPath,
  parseMethodAlgorithm,
  printContentAddress,
} from "../../formats/content-address.ts";
import { createHasher } from "../../formats/hash.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { notServed, type ServedContents } from "../../protocols/handler.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import { dumpPath, hashPath } from "../embedded/files/dump.ts";
import { removeTree } from "../embedded/files/remove.ts";

/**
 * Adds the contents and returns the info of the resulting path. They are first written to a file beside the store, whose name the cleaning up
 * after dead processes recognises.
 * @throws EngineError `STORE_NOT_SERVED` for git trees, `CONTENT_ADDRESS_IMPOSSIBLE`, `HASH_UNKNOWN_ALGORITHM`, `NAR_…`
 */
export async function addContents(
  store: EmbeddedStore,
  request: ServedContents,
  contents: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<PathInfo> {
  const { method, algorithm } = parseMethodAlgorithm(request.method.replace(/^fixed:/, ""));
  if (method === "git") throw notServed("adding git trees");
  const spool = join(store.layout.workDir, `${process.pid}-added-${randomUUID()}`);
  try {
    const hasher = createHasher(algorithm);
    const nar = createHasher("sha256");
    const size = await spoolTo(spool, contents, signal, (chunk) => {
      hasher.update(chunk);
      if (method === "nar") nar.update(chunk);
    });
    const address: ContentAddress = { method, hash: { algorithm, digest: hasher.digest() } };
    const path = contentAddressedPath(request.name, address, { others: request.references, self: false });
    const known = (await store.lockValidPaths([path])).has(path)
      ? (await store.queryPathInfos([path])).get(path)
      : undefined;
    if (known !== undefined) return known;
    const packed = method === "nar" ? { narHash: nar.digest(), narSize: BigInt(size) } : await hashPath(spool);
    const info: PathInfo = {
      path,
      deriver: null,
      narHash: packed.narHash,
      narSize: packed.narSize,
      references: [...request.references].sort(),
      registrationTime: 0n,
      ultimate: false,
      signatures: [],
      contentAddress: printContentAddress(address),
    };
    const source = (): AsyncIterable<Uint8Array> =>
      method === "nar" ? createReadStream(spool, { highWaterMark: 1 << 18 }) : dumpPath(spool);
    await store.addPaths([{ info, nar: source, isChecked: false }], { checkSignatures: false }, signal);
    return (await store.queryPathInfos([path])).get(path) ?? info;
  } finally {
    await removeTree(spool);
  }
}

async function spoolTo(
  file: string,
  contents: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  heard: (chunk: Uint8Array) => void,
): Promise<number> {
  let handle: FileHandle | null = null;
  let size = 0;
  try {
    handle = await open(file, "wx", 0o600);
    for await (const chunk of contents) {
      signal.throwIfAborted();
      heard(chunk);
      size += chunk.length;
      await handle.writeFile(chunk);
    }
    return size;
  } finally {
    await handle?.close();
  }
}
