// Imports paths: unpacks and checks NARs in a private directory, then renames whole batches into place and registers them.
import { createReadStream, existsSync } from "node:fs";
import { EngineError } from "../../base/errors.ts";
import { isContentAddressed, parseContentAddress } from "../../formats/content-address.ts";
import { createHasher, type Hash, printHash } from "../../formats/hash.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { hashPartOf, type StorePath } from "../../formats/store-path.ts";
import { observeNar } from "../nar-stream.ts";
import type { IncomingPath } from "../store.ts";
import type { StoreCore } from "./core.ts";
import { registerPaths } from "./database/register.ts";
import { hashModulo } from "./executor/outputs/rewrite.ts";
import { moveObject } from "./files/canonicalise.ts";
import { checkedOutputs } from "./files/derivation-files.ts";
import { dumpPath } from "./files/dump.ts";
import { hasCode } from "./files/file-tree.ts";
import { lockPaths } from "./files/path-locks.ts";
import { restorePath, writeFailure } from "./files/restore.ts";
import type { WorkDir } from "./files/work-dir.ts";
import { realPathOf } from "./layout.ts";

/** Number of paths locked, moved and registered together. */
const BATCH = 64;

interface Unpacked {
  readonly info: PathInfo;
  /** Where it waits. */
  readonly file: string;
}

/** See {@link PathSink.addPaths}. Paths complete before a failure are registered. */
export async function importPaths(
  core: StoreCore,
  paths: AsyncIterable<IncomingPath> | Iterable<IncomingPath>,
  checkSignatures: boolean,
  signal: AbortSignal | null,
): Promise<void> {
  const work = await core.workDir();
  let batch: Unpacked[] = [];
  const commit = async (): Promise<void> => {
    const whole = batch;
    batch = [];
    await moveIn(core, work, whole);
  };
  try {
    for await (const incoming of paths) {
      signal?.throwIfAborted();
      if (checkSignatures) core.trust.demand(incoming.info);
      await core.tempRoots.add([incoming.info.path]);
      batch.push(await unpack(work, incoming, signal));
      if (batch.length >= BATCH) await commit();
    }
  } catch (error) {
    // Report the first failure.
    await commit().catch(() => undefined);
    throw error;
  }
  await commit();
}

async function unpack(
  work: WorkDir,
  { info, nar, isChecked }: IncomingPath,
  signal: AbortSignal | null,
): Promise<Unpacked> {
  const file = work.fresh("incoming");
  const hasher = isChecked ? null : createHasher("sha256");
  let size = 0n;
  let found: Uint8Array | null = null;
  const observed = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    found = yield* observeNar(nar(), (chunk) => {
      signal?.throwIfAborted();
      hasher?.update(chunk);
      size += BigInt(chunk.length);
    });
  };
  try {
    await restorePath(observed(), file);
    const digest = hasher === null ? found : hasher.digest();
    if (digest === null) throw new Error(`the NAR of '${info.path}' should have been checked on its way`);
    checkHash(info, digest, size);
    await checkContentAddress(info, file);
  } catch (error) {
    work.discard(file);
    throw error;
  }
  // Not built here, regardless of where it comes from.
  return { info: { ...info, ultimate: false }, file };
}

/** Renames into place and registers; leaves alone paths that have become valid meanwhile. */
async function moveIn(core: StoreCore, work: WorkDir, batch: readonly Unpacked[]): Promise<void> {
  if (batch.length === 0) return;
  const { layout, database } = core;
  const byPath = new Map(batch.map((unpacked) => [unpacked.info.path, unpacked]));
  const locks = await lockPaths(
    [...byPath.keys()].map((path) => realPathOf(layout, path)),
    { onWait: () => undefined, signal: null },
  );
  let done = false;
  try {
    const fresh = [...byPath.values()].filter(({ info }) => !database.isValid(info.path));
    for (const { info, file } of fresh) {
      const real = realPathOf(layout, info.path);
      moveAway(work, real);
      try {
        moveObject(file, real);
      } catch (error) {
        throw writeFailure(real, error);
      }
    }
    await registerPaths(
      database,
      core.clock,
      fresh.map(({ info }) => ({
        info,
        derivationOutputs: info.path.endsWith(".drv") ? checkedOutputs(layout, core.inputHashes, info.path) : new Map(),
      })),
    );
    done = true;
  } finally {
    locks.release(done);
    for (const { file } of batch) if (existsSync(file)) work.discard(file);
  }
}

/** Clears the place of an invalid path, left by a crash. The caller holds its lock. */
export function moveAway(work: WorkDir, real: string): void {
  try {
    const old = work.fresh("invalid");
    moveObject(real, old);
    work.discard(old);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

function checkHash(info: PathInfo, digest: Uint8Array, size: bigint): void {
  if (Buffer.compare(digest, info.narHash) !== 0) {
    const show = (bytes: Uint8Array): string => printHash({ algorithm: "sha256", digest: bytes }, "nix32", true);
    throw mismatch("hash mismatch", info.path, show(info.narHash), show(digest));
  }
  if (size !== info.narSize) throw mismatch("size mismatch", info.path, String(info.narSize), String(size));
}

async function checkContentAddress(info: PathInfo, file: string): Promise<void> {
  if (info.contentAddress === null) return;
  if (!isContentAddressed(info.path, info.contentAddress, info.references)) {
    throw new EngineError(
      "store",
      "STORE_FALSE_CONTENT_ADDRESS",
      `cannot add path '${info.path}' to the Nix store because it claims to be content-addressed but isn't`,
    );
  }
  const { method, hash } = parseContentAddress(info.contentAddress);
  const digest = await contentDigest(info, file, method, hash);
  if (Buffer.compare(digest, hash.digest) === 0) return;
  const show = (one: Hash): string => printHash(one, "nix32", true);
  throw mismatch("ca hash mismatch", info.path, show(hash), show({ ...hash, digest }));
}

async function contentDigest(info: PathInfo, file: string, method: string, hash: Hash): Promise<Uint8Array> {
  switch (method) {
    case "nar":
      if (hash.algorithm === "sha256" && !info.references.includes(info.path)) return info.narHash;
      return hashModulo(dumpPath(file), hash.algorithm, hashPartOf(info.path));
    case "flat":
    case "text":
      return hashModulo(createReadStream(file), hash.algorithm, hashPartOf(info.path));
    default:
      throw new EngineError(
        "store",
        "STORE_CONTENT_ADDRESS_UNSUPPORTED",
        `cannot add path '${info.path}': contents addressed by ${method} cannot be checked here`,
        { hint: "Copy it with Nix itself." },
      );
  }
}

function mismatch(what: string, path: StorePath, specified: string, got: string): EngineError {
  return new EngineError(
    "store",
    "STORE_HASH_MISMATCH",
    `${what} importing path '${path}';\n  specified: ${specified}\n  got:       ${got}`,
    { hint: "The sender's copy is damaged or was changed on the way; verify it there." },
  );
}
