// Path information on the wire: the worker protocol's layout since 1.16, which the serve protocol's AddToStoreNar shares.
import { parseHash } from "../../formats/hash.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_NAME_BYTES } from "../limits.ts";
import { readNames, readOptionalStorePath, readStorePath, readStorePaths, writeStorePaths } from "./paths.ts";

/** Writes everything except the path (Nix: `UnkeyedValidPathInfo`); the NAR hash is bare hexadecimal. */
export function writeUnkeyedPathInfo(writer: ByteWriter, info: PathInfo): void {
  writer.string(info.deriver ?? "").string(Buffer.from(info.narHash).toString("hex"));
  writeStorePaths(writer, info.references);
  writer
    .u64(info.registrationTime)
    .u64(info.narSize)
    .bool(info.ultimate)
    .strings(info.signatures)
    .string(info.contentAddress ?? "");
}

/** Reads what {@link writeUnkeyedPathInfo} writes; the references are sorted afterwards. */
export async function readUnkeyedPathInfo(reader: ByteReader, path: StorePath): Promise<PathInfo> {
  const deriver = await readOptionalStorePath(reader);
  const narHash = await readNarHash(reader);
  const references = (await readStorePaths(reader)).sort();
  const registrationTime = await reader.readU64();
  const narSize = await reader.readU64();
  const ultimate = await reader.readBool();
  const signatures = await readNames(reader, "signatures");
  const contentAddress = await reader.readString(MAX_NAME_BYTES, "a content address");
  return {
    path,
    deriver,
    narHash,
    narSize,
    references,
    registrationTime,
    ultimate,
    signatures,
    contentAddress: contentAddress === "" ? null : contentAddress,
  };
}

/** Path and information. */
export function writePathInfo(writer: ByteWriter, info: PathInfo): void {
  writer.string(info.path);
  writeUnkeyedPathInfo(writer, info);
}

/** Reads what {@link writePathInfo} writes. */
export async function readPathInfo(reader: ByteReader): Promise<PathInfo> {
  return readUnkeyedPathInfo(reader, await readStorePath(reader));
}

/** Reads a SHA-256 in any of Nix's notations, with or without `sha256:`. */
export async function readNarHash(reader: ByteReader): Promise<Uint8Array> {
  const text = await reader.readString(MAX_NAME_BYTES, "a NAR hash");
  try {
    return parseHash(text, "sha256").digest;
  } catch {
    throw reader.fail("WIRE_BAD_VALUE", "expected a SHA-256 NAR hash", `'${text.slice(0, 200)}'`);
  }
}
