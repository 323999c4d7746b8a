// Examines what a builder made: canonical metadata, references, hashes, and the path of each output (Nix: `registerOutputs`).
import { createReadStream, lstatSync, renameSync, type Stats } from "node:fs";
import type {
  BasicDerivation,
  ContentAddressMethod,
  DerivationOutput,
  HashAlgorithm,
} from "../../../../derivation/derivation.ts";
import type { DerivationOptions } from "../../../../derivation/options.ts";
import type { ByteString } from "../../../../formats/byte-string.ts";
import { contentAddressedPath, printContentAddress } from "../../../../formats/content-address.ts";
import { type Hash, parseHash, printHash } from "../../../../formats/hash.ts";
import { makeStorePath, outputPathName } from "../../../../formats/make-store-path.ts";
import type { PathInfo } from "../../../../formats/path-info.ts";
import { ReferenceScanner } from "../../../../formats/references.ts";
import { baseNameOf, hashPartOf, type StorePath } from "../../../../formats/store-path.ts";
import { canonicalise, type ExpectedOwner, moveObject } from "../../files/canonicalise.ts";
import { dumpPath, hashPath } from "../../files/dump.ts";
import { hasCode } from "../../files/file-tree.ts";
import { restorePath } from "../../files/restore.ts";
import { BuildFailure } from "../failure.ts";
import { hashModulo, rewriteStream } from "./rewrite.ts";

/** An output in the scratch store, ready to be moved into place. */
export interface MadeOutput {
  readonly name: string;
  /** On disk; it may have been rewritten. */
  readonly real: string;
  readonly info: PathInfo;
  /** Why the build fails although the output is kept: its hash differs from the promised one. */
  readonly fault: string | null;
}

/** What to examine. */
export interface OutputSource {
  readonly drvPath: StorePath;
  readonly derivation: BasicDerivation;
  readonly options: DerivationOptions;
  /** The directory that was `/nix/store`. */
  readonly store: string;
  /** Output name → path the builder wrote to. */
  readonly scratchPaths: ReadonlyMap<string, StorePath>;
  /** Names of the wanted outputs; the others are already valid. */
  readonly wanted: ReadonlySet<string>;
  /** The closure of the inputs. */
  readonly inputs: ReadonlySet<StorePath>;
  /** The required owner of the files, if the builder did not run as this process's user. */
  readonly owner: ExpectedOwner | null;
  /**
   * Whether to copy the outputs before hashing them: a builder with network may have passed a writable descriptor to an outside process
   * (CVE-2024-27297), which can then change only the old files and not the registered ones.
   */
  readonly copied: boolean;
  /** Returns unused names on the store's file system. */
  readonly fresh: (kind: string) => string;
  readonly discard: (path: string) => void;
}

interface Raw {
  readonly name: string;
  readonly real: string;
  readonly stats: Stats;
  readonly references: readonly StorePath[];
  readonly narHash: Uint8Array;
  readonly narSize: bigint;
}

/** Where a builder writes an output whose path is not known beforehand (Nix: `makeFallbackPath`). */
export function scratchPathOf(drvPath: StorePath, derivationName: string, outputName: string): StorePath {
  const none: Hash = { algorithm: "sha256", digest: new Uint8Array(32) };
  return makeStorePath(
    `rewrite:${baseNameOf(drvPath)}:name:${outputName}`,
    none,
    outputPathName(derivationName, outputName),
  );
}

/**
 * The outputs, references first. Contents that name a path determined only here are rewritten.
 * @throws BuildFailure `OutputRejected` for what cannot be an output; EngineError of the store.
 */
export async function examineOutputs(source: OutputSource): Promise<MadeOutput[]> {
  const candidates = [...source.inputs, ...source.scratchPaths.values()];
  const raws = new Map<string, Raw>();
  for (const name of source.scratchPaths.keys()) {
    if (source.wanted.has(name)) raws.set(name, await lookAt(source, name, candidates));
  }
  const made: MadeOutput[] = [];
  // Hash part of a scratch path → hash part of the final one.
  const rewrites = new Map<ByteString, ByteString>();
  for (const raw of inOrder(source, raws)) {
    const output = await finish(source, raw, rewrites);
    const scratch = source.scratchPaths.get(raw.name)!;
    if (output.info.path !== scratch) {
      rewrites.set(hashPartOf(scratch) as string as ByteString, hashPartOf(output.info.path) as string as ByteString);
    }
    made.push(output);
  }
  return made;
}

async function lookAt(source: OutputSource, name: string, candidates: readonly StorePath[]): Promise<Raw> {
  const path = source.scratchPaths.get(name)!;
  const real = `${source.store}/${baseNameOf(path)}`;
  let stats: Stats;
  try {
    stats = lstatSync(real);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    throw rejected(`builder for '${source.drvPath}' failed to produce output path for output '${name}' at '${path}'`);
  }
  if (!stats.isSymbolicLink() && (stats.mode & 0o022) !== 0) {
    throw rejected(`suspicious ownership or permission on '${path}' for output '${name}'; rejecting this build output`);
  }
  try {
    await canonicalise(real, source.owner);
  } catch (error) {
    if (hasCode(error, "STORE_BAD_FILE_TYPE", "STORE_FOREIGN_FILE") && error instanceof Error)
      throw rejected(error.message);
    throw error;
  }
  if (source.copied) {
    await copyAfresh(source, real);
    stats = lstatSync(real);
  }
  const scanner = new ReferenceScanner(candidates);
  const { narHash, narSize } = await hashPath(real, (chunk) => scanner.push(chunk));
  const references = source.options.unsafeDiscardReferences.includes(name) ? [] : scanner.references();
  return { name, real, stats, references, narHash, narSize };
}

/** Outputs sorted so that references come first. */
function inOrder(source: OutputSource, raws: ReadonlyMap<string, Raw>): Raw[] {
  const nameByPath = new Map([...source.scratchPaths].map(([name, path]) => [path, name]));
  const order: Raw[] = [];
  const above = new Set<string>();
  const visit = (raw: Raw): void => {
    if (order.includes(raw)) return;
    above.add(raw.name);
    for (const reference of raw.references) {
      const name = nameByPath.get(reference);
      const other = name === undefined ? undefined : raws.get(name);
      if (other === undefined || other === raw) continue;
      if (above.has(other.name)) {
        throw rejected(
          `cycle detected in build of '${source.drvPath}' in the references of output '${other.name}' from output '${raw.name}'`,
        );
      }
      visit(other);
    }
    above.delete(raw.name);
    order.push(raw);
  };
  for (const raw of raws.values()) visit(raw);
  return order;
}

async function finish(
  source: OutputSource,
  raw: Raw,
  rewrites: ReadonlyMap<ByteString, ByteString>,
): Promise<MadeOutput> {
  const output = source.derivation.outputs.get(raw.name)!;
  const scratch = source.scratchPaths.get(raw.name)!;
  const touched = raw.references.some((path) => rewrites.has(hashPartOf(path) as string as ByteString));
  const renamed = touched ? await rewritten(source, raw, rewrites) : raw;
  switch (output.type) {
    case "inputAddressed":
      return { name: raw.name, real: renamed.real, info: infoOf(source, renamed, output.path, null), fault: null };
    case "floating":
    case "impure":
      return contentAddressed(source, renamed, scratch, output.method, output.algorithm);
    case "fixed": {
      const made = await contentAddressed(source, renamed, scratch, output.method, output.algorithm);
      return { ...made, fault: fixedFault(source, output, made.info) };
    }
    case "deferred":
      throw rejected(`output '${raw.name}' of '${source.drvPath}' has no path; the derivation has not been resolved`);
  }
}

/** The output with the other outputs' final paths in it. */
async function rewritten(source: OutputSource, raw: Raw, rewrites: ReadonlyMap<ByteString, ByteString>): Promise<Raw> {
  await replace(source, raw.real, rewrites);
  const { narHash, narSize } = await hashPath(raw.real);
  const references = raw.references.map((path) => {
    const hashPart = rewrites.get(hashPartOf(path) as string as ByteString);
    return hashPart === undefined ? path : (path.replace(hashPartOf(path), hashPart) as StorePath);
  });
  return { ...raw, narHash, narSize, references: references.sort() };
}

async function contentAddressed(
  source: OutputSource,
  raw: Raw,
  scratch: StorePath,
  method: ContentAddressMethod,
  algorithm: HashAlgorithm,
): Promise<MadeOutput> {
  if (method === "git") throw rejected(`output '${raw.name}': git trees are not supported as outputs here`);
  const self = raw.references.includes(scratch);
  refuseReferences(source, raw, method, algorithm);
  const hash: Hash = { algorithm, digest: await contentHash(raw, scratch, method, algorithm, self) };
  const address = { method, hash };
  const others = raw.references.filter((path) => path !== scratch);
  const fixed = source.derivation.outputs.get(raw.name)?.type === "fixed";
  const name = outputPathName(source.derivation.name, raw.name);
  // A fixed output with references is refused, so its path is the one without references.
  const path = contentAddressedPath(name, address, fixed ? undefined : { others, self });
  let final = { narHash: raw.narHash, narSize: raw.narSize };
  if (self && path !== scratch) {
    const rename = new Map([[hashPartOf(scratch) as string as ByteString, hashPartOf(path) as string as ByteString]]);
    await replace(source, raw.real, rename);
    final = await hashPath(raw.real);
  }
  const references = self ? [...others, path].sort() : others;
  const info = infoOf(source, { ...raw, ...final, references }, path, printContentAddress(address));
  return { name: raw.name, real: raw.real, info, fault: null };
}

/** Only these hashing methods have paths that can include references (Nix since 2.20: `makeFixedOutputPath`). Checked before the hash. */
function refuseReferences(
  source: OutputSource,
  raw: Raw,
  method: ContentAddressMethod,
  algorithm: HashAlgorithm,
): void {
  const takesReferences = method === "text" || (method === "nar" && algorithm === "sha256");
  if (takesReferences || raw.references.length === 0) return;
  throw rejected(
    `fixed output derivation '${outputPathName(source.derivation.name, raw.name)}' is not allowed to refer to other store paths, ` +
      `but refers to ${raw.references.map((path) => `'${path}'`).join(", ")}.\n` +
      "You may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details.",
  );
}

/** The hash for a content address. */
async function contentHash(
  raw: Raw,
  scratch: StorePath,
  method: "flat" | "nar" | "text",
  algorithm: HashAlgorithm,
  self: boolean,
): Promise<Uint8Array> {
  if (method === "nar") {
    if (!self && algorithm === "sha256") return raw.narHash;
    return hashModulo(dumpPath(raw.real), algorithm, hashPartOf(scratch));
  }
  if (!raw.stats.isFile() || (raw.stats.mode & 0o100) !== 0) {
    throw rejected(
      `output path '${scratch}' should be a non-executable regular file since recursive hashing is not enabled (outputHashMode=flat)`,
    );
  }
  return hashModulo(createReadStream(raw.real), algorithm, hashPartOf(scratch));
}

function fixedFault(
  source: OutputSource,
  output: Extract<DerivationOutput, { type: "fixed" }>,
  info: PathInfo,
): string | null {
  const wanted = parseHash(output.hash, output.algorithm);
  const got = parseHash(info.contentAddress!.replace(/^(?:fixed|text):(?:r:|git:)?/, ""));
  if (Buffer.compare(wanted.digest, got.digest) !== 0) {
    return (
      `hash mismatch in fixed-output derivation '${source.drvPath}':\n` +
      `  specified: ${printHash(wanted, "sri", true)}\n     got:    ${printHash(got, "sri", true)}`
    );
  }
  if (info.references.length === 0) return null;
  return (
    `fixed-output derivations must not reference store paths: '${source.drvPath}' references ` +
    `${info.references.length} distinct paths, e.g. '${info.references[0]}'`
  );
}

function infoOf(source: OutputSource, raw: Raw, path: StorePath, contentAddress: string | null): PathInfo {
  return {
    path,
    deriver: source.drvPath,
    narHash: raw.narHash,
    narSize: raw.narSize,
    references: raw.references,
    registrationTime: 0n,
    ultimate: true,
    signatures: [],
    contentAddress,
  };
}

/** Replaces the file tree at `real` by its rewritten form. */
async function replace(
  source: OutputSource,
  real: string,
  rewrites: ReadonlyMap<ByteString, ByteString>,
): Promise<void> {
  const other = source.fresh("rewrite");
  await restorePath(rewriteStream(dumpPath(real), rewrites), other);
  const old = source.fresh("old");
  renameSync(real, old);
  renameSync(other, real);
  source.discard(old);
}

/** Replaces the file tree at `real` by a copy of all bytes, in files that nobody has ever had open. */
async function copyAfresh(source: OutputSource, real: string): Promise<void> {
  const copy = source.fresh("copy");
  await restorePath(dumpPath(real), copy);
  const old = source.fresh("old");
  moveObject(real, old);
  moveObject(copy, real);
  source.discard(old);
}

function rejected(message: string): BuildFailure {
  return new BuildFailure("OutputRejected", message);
}
