// What the tests of binary caches share: paths in memory and caches over any port.
import { tmpdir } from "node:os";
import { type Clock, systemClock } from "../../../../src/engine/base/clock.ts";
import type { ByteString } from "../../../../src/engine/formats/byte-string.ts";
import { hashBytes } from "../../../../src/engine/formats/hash.ts";
import { makeStorePath } from "../../../../src/engine/formats/make-store-path.ts";
import type { PathInfo } from "../../../../src/engine/formats/path-info.ts";
import type { StorePath } from "../../../../src/engine/formats/store-path.ts";
import { CacheStore, type CacheStoreOptions } from "../../../../src/engine/stores/binary-cache/cache-store.ts";
import { HttpCache } from "../../../../src/engine/stores/binary-cache/objects/http.ts";
import { HttpClient, type HttpClientOptions } from "../../../../src/engine/stores/binary-cache/objects/http-client.ts";
import type { GetPutPort } from "../../../../src/engine/stores/binary-cache/port.ts";
import type { IncomingPath } from "../../../../src/engine/stores/store.ts";
import { encodeTree } from "../../../support/nar-tree.ts";

/** A path with its NAR. */
export interface Sample {
  readonly path: StorePath;
  readonly info: PathInfo;
  readonly nar: Uint8Array;
  readonly incoming: IncomingPath;
}

/** A path that is one file with these contents. */
export function sample(name: string, contents: string | Uint8Array = name, references: readonly Sample[] = []): Sample {
  const bytes = Buffer.from(contents);
  const nar = encodeTree({
    type: "directory",
    entries: new Map([["file" as ByteString, { type: "file", executable: false, contents: bytes }]]),
  });
  const path = makeStorePath("output:out", hashBytes("sha256", `${name} ${bytes.length}`), name);
  const info: PathInfo = {
    path,
    deriver: null,
    narHash: hashBytes("sha256", nar).digest,
    narSize: BigInt(nar.length),
    references: references.map((reference) => reference.path).sort(),
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
  return { path, info, nar, incoming: { info, nar: () => inPieces(nar), isChecked: false } };
}

/** Bytes in pieces of 64 KiB, as stores give them. */
export async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
}

/** A cache over a port, with usual values. */
export function cacheOver(port: GetPutPort, options: Partial<CacheStoreOptions> = {}): CacheStore {
  return new CacheStore({
    port,
    clock: systemClock,
    diskCache: null,
    parallel: 25,
    compression: "zstd",
    level: null,
    parallelCompression: false,
    secretKeys: [],
    listings: false,
    temporaryDirectory: tmpdir(),
    ...options,
  });
}

/** A port to an HTTP server; what it would tell the user is gathered. */
export function httpPort(
  url: string,
  options: Partial<HttpClientOptions> & {
    readonly attempts?: number;
    readonly clock?: Clock;
    readonly login?: { login: string; password: string };
  } = {},
): { readonly port: HttpCache; readonly notices: string[] } {
  const notices: string[] = [];
  const clock = options.clock ?? systemClock;
  const client = new HttpClient({
    clock,
    connectTimeoutMs: 2000,
    stallTimeoutMs: 2000,
    connections: 25,
    environment: {},
    agent: "test",
    ...options,
  });
  const port = new HttpCache({
    uri: url,
    client,
    clock,
    random: () => 0,
    attempts: options.attempts ?? 3,
    notice: (message) => notices.push(message),
    login: async () => options.login ?? null,
  });
  return { port, notices };
}

/** The options of an addPaths call. */
export const ADD = { checkSignatures: false, count: 1, large: false } as const;

/** A stream's bytes. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}
