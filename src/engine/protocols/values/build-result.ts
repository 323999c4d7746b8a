// Build results on the wire: the same fields in both protocols, each since a certain version.
import { BUILD_STATUSES, type BuildResult } from "../../derivation/build-result.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_ITEMS, MAX_NAME_BYTES, MAX_STRING_BYTES } from "../limits.ts";
import { outputNameOf, parseRealisation, printRealisation } from "./realisation.ts";

/** Which fields a result contains. */
export interface BuildResultLayout {
  readonly times: boolean;
  readonly cpu: boolean;
  readonly builtOutputs: boolean;
}

/** The layout of the worker protocol 1.`minor`. */
export function workerResultLayout(minor: number): BuildResultLayout {
  return { times: minor >= 29, cpu: minor >= 37, builtOutputs: minor >= 28 };
}

/** The layout of the serve protocol 2.`minor`. */
export function serveResultLayout(minor: number): BuildResultLayout {
  return { times: minor >= 3, cpu: false, builtOutputs: minor >= 6 };
}

/** Stands for an unknown derivation hash; clients use only name and path of an id (Nix 2.35 sends a dummy, too). */
const UNKNOWN_HASH = "0".repeat(64);

/** Writes a result. `derivationHash` (64 hex digits, hash modulo) makes the ids of the built outputs correct; null means unknown. */
export function writeBuildResult(
  writer: ByteWriter,
  layout: BuildResultLayout,
  result: BuildResult,
  derivationHash: string | null,
): void {
  writer.u64(BUILD_STATUSES.indexOf(result.status)).string(result.errorMessage);
  if (layout.times) {
    writer.u64(result.timesBuilt).bool(result.isNonDeterministic).u64(result.startTime).u64(result.stopTime);
  }
  if (layout.cpu) {
    for (const micros of [result.cpuUserMicros, result.cpuSystemMicros]) {
      // Nix refuses negative durations, although the field is signed.
      if (micros === null || micros < 0n) writer.u64(0);
      else writer.u64(1).i64(micros);
    }
  }
  if (layout.builtOutputs) {
    writer.list(result.builtOutputs, ([name, path]) => {
      const id = `sha256:${derivationHash ?? UNKNOWN_HASH}!${name}`;
      writer.string(id).string(printRealisation({ id, path, signatures: [] }));
    });
  }
}

/** Reads a result; a status this program does not know becomes `MiscFailure`, a malformed built output is left out. */
export async function readBuildResult(reader: ByteReader, layout: BuildResultLayout): Promise<BuildResult> {
  const status = await reader.readU64();
  const errorMessage = await reader.readString(MAX_STRING_BYTES, "an error message");
  let timesBuilt = 0;
  let isNonDeterministic = false;
  let startTime = 0;
  let stopTime = 0;
  if (layout.times) {
    timesBuilt = Number(await reader.readU64());
    isNonDeterministic = await reader.readBool();
    startTime = Number(await reader.readU64());
    stopTime = Number(await reader.readU64());
  }
  const cpuUserMicros = layout.cpu ? await readOptionalMicros(reader) : null;
  const cpuSystemMicros = layout.cpu ? await readOptionalMicros(reader) : null;
  const builtOutputs = layout.builtOutputs ? await readBuiltOutputs(reader) : new Map<string, StorePath>();
  return {
    status: (status < 1000n ? BUILD_STATUSES[Number(status)] : undefined) ?? "MiscFailure",
    errorMessage,
    timesBuilt,
    isNonDeterministic,
    startTime,
    stopTime,
    cpuUserMicros,
    cpuSystemMicros,
    builtOutputs,
  };
}

async function readOptionalMicros(reader: ByteReader): Promise<bigint | null> {
  const tag = await reader.readU64();
  if (tag === 0n) return null;
  if (tag !== 1n) throw reader.fail("WIRE_BAD_VALUE", "expected 0 or 1 before an optional value", `${tag}`);
  return reader.readI64();
}

async function readBuiltOutputs(reader: ByteReader): Promise<Map<string, StorePath>> {
  const outputs = new Map<string, StorePath>();
  const count = await reader.readNumber(MAX_ITEMS, "the count of built outputs");
  for (let index = 0; index < count; index++) {
    const id = await reader.readString(MAX_NAME_BYTES, "an output id");
    const realisation = parseRealisation(await reader.readString(MAX_STRING_BYTES, "a realisation"));
    const name = outputNameOf(id);
    if (name !== null && realisation !== null) outputs.set(name, realisation.path);
  }
  return outputs;
}
