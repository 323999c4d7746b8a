// Values only the serve protocol has ↔ bytes: build limits, queried path information, and exported paths.
import { printHash } from "../../formats/hash.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_NAME_BYTES } from "../limits.ts";
import { readNarHash } from "../values/path-info.ts";
import { checked, readNames, readOptionalStorePath, readStorePaths, writeStorePaths } from "../values/paths.ts";

/** Limits that travel with each build. */
export interface ServeBuildOptions {
  /** Seconds, 0 none. */
  readonly maxSilentTime: number;
  /** Seconds, 0 none. */
  readonly timeout: number;
  /** Bytes, 0n none. */
  readonly maxLogSize: bigint;
  /** Whether to keep the build directory of a failed build (≥ 2.7). */
  readonly keepFailed: boolean;
}

/** Writes limits. Never requests repeats: Nix since 2.13 ends the connection over them. */
export function writeBuildOptions(writer: ByteWriter, minor: number, options: ServeBuildOptions): void {
  writer.u64(options.maxSilentTime).u64(options.timeout).u64(options.maxLogSize).u64(0).u64(0);
  if (minor >= 7) writer.bool(options.keepFailed);
}

/** Reads limits; `repeats` may come from Nix before 2.13. */
export async function readBuildOptions(
  reader: ByteReader,
  minor: number,
): Promise<{ readonly options: ServeBuildOptions; readonly repeats: bigint }> {
  const maxSilentTime = Number(await reader.readU64());
  const timeout = Number(await reader.readU64());
  const maxLogSize = await reader.readU64();
  const repeats = await reader.readU64();
  await reader.readU64();
  const keepFailed = minor >= 7 ? await reader.readBool() : false;
  return { options: { maxSilentTime, timeout, maxLogSize, keepFailed }, repeats };
}

/** Writes one item of QueryPathInfos; there is no download, so the download size is the NAR's. */
export function writeQueriedInfo(writer: ByteWriter, info: PathInfo): void {
  writer.string(info.path).string(info.deriver ?? "");
  writeStorePaths(writer, info.references);
  writer.u64(info.narSize).u64(info.narSize);
  writer.string(printHash({ algorithm: "sha256", digest: info.narHash }, "nix32", true));
  writer.string(info.contentAddress ?? "").strings(info.signatures);
}

/** Reads one item of QueryPathInfos, null for the empty path that ends them. Registration time and `ultimate` are not sent. */
export async function readQueriedInfo(reader: ByteReader): Promise<PathInfo | null> {
  const text = await reader.readString(MAX_NAME_BYTES, "a store path");
  if (text === "") return null;
  const path = checked(reader, text);
  const deriver = await readOptionalStorePath(reader);
  const references = (await readStorePaths(reader)).sort();
  await reader.readU64();
  const narSize = await reader.readU64();
  const narHash = await readNarHash(reader);
  const contentAddress = await reader.readString(MAX_NAME_BYTES, "a content address");
  const signatures = await readNames(reader, "signatures");
  return {
    path,
    deriver,
    narHash,
    narSize,
    references,
    registrationTime: 0n,
    ultimate: false,
    signatures,
    contentAddress: contentAddress === "" ? null : contentAddress,
  };
}

/** The data after the NAR of an exported path (Nix: export-import.cc). */
export interface ExportTrailer {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
  readonly deriver: StorePath | null;
}

/** `NIXE`, between the NAR of an exported path and its trailer. */
const EXPORT_MAGIC = 0x4558494en;

/** Writes the trailer of an exported NAR; no signature. */
export function writeExportTrailer(writer: ByteWriter, trailer: ExportTrailer): void {
  writer.u64(EXPORT_MAGIC).string(trailer.path);
  writeStorePaths(writer, trailer.references);
  writer.string(trailer.deriver ?? "").u64(0);
}

/** Reads the trailer of an exported NAR; an old-style signature is skipped. @throws EngineError `WIRE_BAD_VALUE`. */
export async function readExportTrailer(reader: ByteReader): Promise<ExportTrailer> {
  const magic = await reader.readU64();
  if (magic !== EXPORT_MAGIC)
    throw reader.fail("WIRE_BAD_VALUE", "expected an exported path", `0x${magic.toString(16)}`);
  const path = checked(reader, await reader.readString(MAX_NAME_BYTES, "a store path"));
  const references = (await readStorePaths(reader)).sort();
  const deriver = await readOptionalStorePath(reader);
  if (await reader.readBool()) await reader.readString(MAX_NAME_BYTES, "a signature");
  return { path, references, deriver };
}
