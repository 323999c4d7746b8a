// Store paths on the wire: a path, an optional path, and sets of paths; the same in both protocols.
import { isStorePath, type StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_ITEMS, MAX_NAME_BYTES } from "../limits.ts";

/** Reads a store path. @throws EngineError `WIRE_BAD_VALUE` for anything else. */
export async function readStorePath(reader: ByteReader): Promise<StorePath> {
  return checked(reader, await reader.readString(MAX_NAME_BYTES, "a store path"));
}

/** Reads a store path, null for the empty string. */
export async function readOptionalStorePath(reader: ByteReader): Promise<StorePath | null> {
  const text = await reader.readString(MAX_NAME_BYTES, "a store path");
  return text === "" ? null : checked(reader, text);
}

/** Reads a set of store paths, in the order sent (Nix: `store path set`). */
export function readStorePaths(reader: ByteReader): Promise<StorePath[]> {
  return reader.readList(MAX_ITEMS, () => readStorePath(reader), "store paths");
}

/** Writes a set of store paths. */
export function writeStorePaths(writer: ByteWriter, paths: Iterable<StorePath>): void {
  writer.strings(paths);
}

/** Reads a list of short texts (signatures, features, names). */
export function readNames(reader: ByteReader, what: string, max = MAX_ITEMS): Promise<string[]> {
  return reader.readList(max, () => reader.readString(MAX_NAME_BYTES, what), what);
}

/** The text as a store path; `WIRE_BAD_VALUE` otherwise. */
export function checked(reader: ByteReader, text: string): StorePath {
  if (isStorePath(text)) return text;
  throw reader.fail("WIRE_BAD_VALUE", "expected a store path", `'${text.slice(0, 300)}'`);
}
