// Paths for the suite: each call makes one that no store has seen, so that tests can share a place.
import { createHash } from "node:crypto";
import { type ByteString, byteStringOf } from "../../../src/engine/formats/byte-string.ts";
import { contentAddressedPath, printContentAddress } from "../../../src/engine/formats/content-address.ts";
import { hashBytes } from "../../../src/engine/formats/hash.ts";
import { makeStorePath } from "../../../src/engine/formats/make-store-path.ts";
import type { NarTree } from "../../../src/engine/formats/nar/tree.ts";
import type { PathInfo } from "../../../src/engine/formats/path-info.ts";
import type { StorePath } from "../../../src/engine/formats/store-path.ts";
import type { AddOptions, IncomingPath } from "../../../src/engine/stores/store.ts";
import { encodeTree } from "../../support/nar-tree.ts";
import type { TakingStore } from "./subject.ts";

/** A path with its NAR. */
export interface Sample {
  readonly path: StorePath;
  readonly info: PathInfo;
  readonly nar: Uint8Array;
}

let made = 0;

/** A path nobody has. */
export function freshPath(name: string): StorePath {
  made++;
  return makeStorePath("output:out", hashBytes("sha256", `contract ${process.pid} ${made}`), name);
}

/** A path that is one file; `contents` may need to know the path. */
export function sample(
  name: string,
  options: {
    readonly contents?: (path: StorePath) => string | Uint8Array;
    readonly references?: (path: StorePath) => readonly StorePath[];
    readonly info?: Partial<PathInfo>;
  } = {},
): Sample {
  const path = freshPath(name);
  const nar = encodeTree(fileTree(options.contents?.(path) ?? `contents of ${path}`));
  const references = [...(options.references?.(path) ?? [])].sort();
  return { path, nar, info: { ...infoOf(path, nar), references, ...options.info } };
}

/** A path of a directory, an executable and a link, addressed by its contents. */
export function addressedSample(name: string): Sample {
  made++;
  const entries = new Map<ByteString, NarTree>([
    [
      byteStringOf("run"),
      { type: "file", executable: true, contents: Buffer.from(`#!/bin/sh\necho ${process.pid} ${made}\n`) },
    ],
    [byteStringOf("link"), { type: "symlink", target: byteStringOf("run") }],
    [byteStringOf("empty"), { type: "directory", entries: new Map() }],
  ]);
  const nar = encodeTree({ type: "directory", entries });
  const address = { method: "nar", hash: hashBytes("sha256", nar) } as const;
  const path = contentAddressedPath(name, address);
  return { path, nar, info: { ...infoOf(path, nar), contentAddress: printContentAddress(address) } };
}

/** The NAR of a file with these contents. */
export function fileNar(contents: string): Uint8Array {
  return encodeTree(fileTree(contents));
}

function fileTree(contents: string | Uint8Array): NarTree {
  return { type: "file", executable: false, contents: Buffer.from(contents) };
}

function infoOf(path: StorePath, nar: Uint8Array): PathInfo {
  return {
    path,
    deriver: null,
    narHash: new Uint8Array(createHash("sha256").update(nar).digest()),
    narSize: BigInt(nar.length),
    references: [],
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
}

/** What of an info every store keeps: when it was registered and where it was built are each store's own. */
export function kept(info: PathInfo | undefined): unknown {
  if (info === undefined) return undefined;
  const { registrationTime: _time, ultimate: _ultimate, narHash, ...rest } = info;
  return { ...rest, narHash: Buffer.from(narHash).toString("hex") };
}

/** The path on its way, in pieces. `nar` may give other bytes. */
export function incoming(
  { info, nar }: Sample,
  given: () => AsyncGenerator<Uint8Array> = () => inPieces(nar),
): IncomingPath {
  return { info, nar: given, isChecked: false };
}

/** Bytes in pieces of uneven sizes. */
export async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = Math.min(65_536, size * 3)) {
    yield bytes.subarray(at, at + size);
  }
}

/** Adds paths as a copy does. */
export function add(
  store: TakingStore,
  samples: readonly Sample[],
  options: Partial<AddOptions> = {},
  signal?: AbortSignal,
): Promise<void> {
  const all = { checkSignatures: false, count: samples.length, large: false, ...options };
  return store.addPaths(
    samples.map((one) => incoming(one)),
    all,
    signal,
  );
}

/** A stream's bytes; the pieces may be overwritten when the next one is asked for. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** The NAR of a path as the store gives it. */
export function narOf(store: TakingStore, { path, nar }: Sample, signal?: AbortSignal): Promise<Buffer> {
  return bytesOf(store.narFromPath(path, BigInt(nar.length), signal));
}
