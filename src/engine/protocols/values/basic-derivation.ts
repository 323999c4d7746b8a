// A derivation with plain paths as inputs on the wire (Nix: `BasicDerivation`, writeDerivation); the same in both protocols.

import { messageOf } from "../../base/errors.ts";
import type { BasicDerivation, DerivationOutput } from "../../derivation/derivation.ts";
import { outputFromTriple } from "../../derivation/parse.ts";
import { outputToTriple } from "../../derivation/print.ts";
import type { ByteString } from "../../formats/byte-string.ts";
import { derivationNameOf, type StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_ITEMS, MAX_NAME_BYTES, MAX_STRING_BYTES } from "../limits.ts";
import { readStorePaths, writeStorePaths } from "./paths.ts";

/** Writes the derivation. Arguments and environment are sent as raw bytes. */
export function writeBasicDerivation(writer: ByteWriter, derivation: BasicDerivation): void {
  writer.list(derivation.outputs, ([name, output]) => {
    writer.string(name);
    for (const text of outputToTriple(output)) writer.string(text);
  });
  writeStorePaths(writer, derivation.inputSrcs);
  writer.string(derivation.platform).byteString(derivation.builder);
  writer.list(derivation.args, (argument) => writer.byteString(argument));
  writer.list(derivation.env, ([name, value]) => writer.byteString(name).byteString(value));
}

/** Reads a derivation; its name comes from `drvPath`. */
export async function readBasicDerivation(reader: ByteReader, drvPath: StorePath): Promise<BasicDerivation> {
  const outputs = await reader.readList(MAX_ITEMS, () => readOutput(reader), "outputs");
  const inputSrcs = new Set(await readStorePaths(reader));
  const platform = await reader.readString(MAX_NAME_BYTES, "a platform");
  const builder = await reader.readByteString(MAX_STRING_BYTES, "a builder");
  const args = await reader.readList(
    MAX_ITEMS,
    () => reader.readByteString(MAX_STRING_BYTES, "an argument"),
    "arguments",
  );
  const env = await reader.readList(MAX_ITEMS, () => readVariable(reader), "environment variables");
  return {
    name: derivationNameOf(drvPath),
    outputs: new Map(outputs),
    inputSrcs,
    platform,
    builder,
    args,
    env: new Map(env),
  };
}

async function readOutput(reader: ByteReader): Promise<[string, DerivationOutput]> {
  const name = await reader.readString(MAX_NAME_BYTES, "an output name");
  const path = await reader.readString(MAX_NAME_BYTES, "an output path");
  const algorithm = await reader.readString(MAX_NAME_BYTES, "a hash algorithm");
  const hash = await reader.readString(MAX_NAME_BYTES, "an output hash");
  try {
    return [name, outputFromTriple(path, algorithm, hash)];
  } catch (error) {
    throw reader.fail("WIRE_BAD_VALUE", `expected output '${name}' of a derivation`, messageOf(error));
  }
}

async function readVariable(reader: ByteReader): Promise<[ByteString, ByteString]> {
  const name = await reader.readByteString(MAX_STRING_BYTES, "a variable's name");
  return [name, await reader.readByteString(MAX_STRING_BYTES, "a variable's value")];
}
