// Values only the worker protocol has ↔ bytes: options, garbage collection, roots, upload headers.
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_ITEMS, MAX_NAME_BYTES, MAX_STRING_BYTES } from "../limits.ts";
import { readUnkeyedPathInfo } from "../values/path-info.ts";
import { readOptionalStorePath, readStorePath, readStorePaths } from "../values/paths.ts";

/** `normal` builds what is missing, `repair` replaces what is corrupt, `check` rebuilds and compares. The index is the number on the wire. */
export const BUILD_MODES = ["normal", "repair", "check"] as const;
export type BuildMode = (typeof BUILD_MODES)[number];

/** Settings for the rest of a connection (SetOptions); each replaces the daemon's own, none can be left unset. */
export interface ClientOptions {
  readonly keepFailed: boolean;
  readonly keepGoing: boolean;
  readonly tryFallback: boolean;
  /** 0 error to 7 vomit: which messages are sent. */
  readonly verbosity: number;
  /** At least 1, or BuildDerivation fails. */
  readonly maxBuildJobs: number;
  /** Seconds, 0 none. */
  readonly maxSilentTime: number;
  readonly verboseBuild: boolean;
  /** NIX_BUILD_CORES, 0 all. */
  readonly buildCores: number;
  readonly useSubstitutes: boolean;
  /** Settings by name; the daemon ignores those that an untrusted user may not set. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** Writes options. Log type and trace are obsolete; `useBuildHook` is always true. */
export function writeClientOptions(writer: ByteWriter, options: ClientOptions): void {
  writer.bool(options.keepFailed).bool(options.keepGoing).bool(options.tryFallback).u64(options.verbosity);
  writer.u64(options.maxBuildJobs).u64(options.maxSilentTime).bool(true);
  // Nix sends a verbosity here: 0 ("error") shows build logs, 7 ("vomit") does not.
  writer
    .u64(options.verboseBuild ? 0 : 7)
    .u64(0)
    .u64(0);
  writer.u64(options.buildCores).bool(options.useSubstitutes);
  writer.list(options.overrides, ([name, value]) => writer.string(name).string(value));
}

/** Reads options. */
export async function readClientOptions(reader: ByteReader): Promise<ClientOptions> {
  const keepFailed = await reader.readBool();
  const keepGoing = await reader.readBool();
  const tryFallback = await reader.readBool();
  const verbosity = Number(await reader.readU64());
  const maxBuildJobs = Number(await reader.readU64());
  const maxSilentTime = Number(await reader.readU64());
  await reader.readU64();
  const verboseBuild = (await reader.readU64()) === 0n;
  await reader.readU64();
  await reader.readU64();
  const buildCores = Number(await reader.readU64());
  const useSubstitutes = await reader.readBool();
  const readOverride = async (): Promise<[string, string]> => {
    const name = await reader.readString(MAX_NAME_BYTES, "a setting's name");
    return [name, await reader.readString(MAX_STRING_BYTES, "a setting's value")];
  };
  return {
    keepFailed,
    keepGoing,
    tryFallback,
    verbosity,
    maxBuildJobs,
    maxSilentTime,
    verboseBuild,
    buildCores,
    useSubstitutes,
    overrides: new Map(await reader.readList(MAX_ITEMS, readOverride, "settings")),
  };
}

/** The garbage collector's actions; the index is the number on the wire. */
export const GC_ACTIONS = ["returnLive", "returnDead", "deleteDead", "deleteSpecific"] as const;
export type GcAction = (typeof GC_ACTIONS)[number];

/** A run of the garbage collector. */
export interface GcRequest {
  readonly action: GcAction;
  /** For `deleteSpecific`. */
  readonly paths: readonly StorePath[];
  /** Bytes to free at most, null without limit. */
  readonly maxFreed: bigint | null;
}

/** The garbage collector's result. Paths are plain text, since leftovers in the store need not be well-formed store paths. */
export interface GcResult {
  readonly paths: readonly string[];
  readonly bytesFreed: bigint;
}

const NO_LIMIT = 2n ** 64n - 1n;

/** Writes a garbage collection request; never ignores liveness. */
export function writeGcRequest(writer: ByteWriter, request: GcRequest): void {
  writer.u64(GC_ACTIONS.indexOf(request.action)).strings(request.paths).bool(false);
  writer
    .u64(request.maxFreed ?? NO_LIMIT)
    .u64(0)
    .u64(0)
    .u64(0);
}

/** Reads a garbage collection request; `ignoreLiveness` is separate because it must be refused. */
export async function readGcRequest(
  reader: ByteReader,
): Promise<{ readonly request: GcRequest; readonly ignoreLiveness: boolean }> {
  const action = GC_ACTIONS[await reader.readNumber(GC_ACTIONS.length - 1, "a garbage collector's action")]!;
  const paths = await readStorePaths(reader);
  const ignoreLiveness = await reader.readBool();
  const maxFreed = await reader.readU64();
  for (let index = 0; index < 3; index++) await reader.readU64();
  return { request: { action, paths, maxFreed: maxFreed === NO_LIMIT ? null : maxFreed }, ignoreLiveness };
}

/** Reads a map from output names to paths, null where unknown. */
export async function readOutputMap(reader: ByteReader): Promise<Map<string, StorePath | null>> {
  const readItem = async (): Promise<[string, StorePath | null]> => {
    const name = await reader.readString(MAX_NAME_BYTES, "an output name");
    return [name, await readOptionalStorePath(reader)];
  };
  return new Map(await reader.readList(MAX_ITEMS, readItem, "outputs"));
}

/** Reads a build mode. */
export async function readBuildMode(reader: ByteReader): Promise<BuildMode> {
  return BUILD_MODES[await reader.readNumber(BUILD_MODES.length - 1, "a build mode")]!;
}

/** How AddToStore addresses contents (≥ 1.25): `text:sha256`, `fixed:sha256`, `fixed:r:sha256`, `fixed:git:sha1`. */
export interface ContentRequest {
  readonly name: string;
  readonly method: string;
  readonly references: readonly StorePath[];
}

/** A path and its information as AddToStoreNar sends it. */
export interface NarRequest {
  readonly info: PathInfo;
  readonly repair: boolean;
  readonly checkSignatures: boolean;
}

/** Reads the head of AddToStoreNar. */
export async function readNarRequest(reader: ByteReader): Promise<NarRequest> {
  const info = await readUnkeyedPathInfo(reader, await readStorePath(reader));
  const repair = await reader.readBool();
  return { info, repair, checkSignatures: !(await reader.readBool()) };
}
