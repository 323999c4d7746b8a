// The serve protocol's server: `nix-store --serve` over any store (Nix: nix-store.cc, opServe).

import { EngineError, messageOf } from "../../base/errors.ts";
import { type BuildResult, isSuccess } from "../../derivation/build-result.ts";
import { createHasher } from "../../formats/hash.ts";
import { copyNar } from "../../formats/nar/read.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import { ByteWriter } from "../../formats/wire/writer.ts";
import type { Transport } from "../../transports/transport.ts";
import type { BuildReporter } from "../build-log.ts";
import type { ServedCall, StoreHandler } from "../handler.ts";
import { MAX_ITEMS, MAX_STRING_BYTES } from "../limits.ts";
import { ServerConnection, withStream } from "../server-connection.ts";
import { readBasicDerivation } from "../values/basic-derivation.ts";
import { serveResultLayout, writeBuildResult } from "../values/build-result.ts";
import { type DerivedPath, parseDerivedPath } from "../values/derived-path.ts";
import { readUnkeyedPathInfo } from "../values/path-info.ts";
import { readStorePath, readStorePaths, writeStorePaths } from "../values/paths.ts";
import { SERVE_NEWEST_MINOR } from "../version.ts";
import { readBuildOptions, readExportTrailer, type ServeBuildOptions, writeQueriedInfo } from "./codec.ts";
import { commandOf, type ServeCommand } from "./commands.ts";
import { greetServeClient } from "./handshake.ts";

/** How a client is served. */
export interface ServeServerOptions {
  /** `--write`: whether paths may be added and built. */
  readonly allowWrite: boolean;
  /** Whether paths are accepted without a signature, by the rights of the user who logged in. */
  readonly trusted: boolean;
  /** Writes text to standard error, where this protocol puts logs and errors. */
  readonly log: (text: string) => void;
  /** Newest minor to agree to; 7 unless a test needs less. */
  readonly maxMinor?: number;
  /** The client's name for messages. Default `client`. */
  readonly peer?: string;
}

/** Largest NAR of ImportPaths, which names a path only after its NAR, so that the NAR must be kept in memory. */
const MAX_IMPORT_BYTES = 512 * 1024 * 1024;

/** One client. */
interface Serving {
  readonly connection: ServerConnection;
  readonly handler: StoreHandler;
  readonly minor: number;
  readonly call: ServedCall;
  readonly trusted: boolean;
}

/**
 * Serves one client until it hangs up, which aborts the work done for it. Resolves then. What cannot be done is reported on standard error and
 * ends the connection, as the protocol requires.
 * @throws EngineError in that case, for the exit status.
 */
export async function serveServe(
  transport: Transport,
  handler: StoreHandler,
  options: ServeServerOptions,
): Promise<void> {
  const connection = new ServerConnection(transport, options.peer ?? "client");
  try {
    const { reader, outlet, peer } = connection;
    const minor = await greetServeClient(reader, outlet, options.maxMinor ?? SERVE_NEWEST_MINOR, peer);
    const call = callOf(connection, options);
    const serving: Serving = { connection, handler, minor, call, trusted: options.trusted };
    while (!(await reader.atEnd())) await serveOne(serving, options.allowWrite);
  } catch (error) {
    if (!connection.signal.aborted) {
      options.log(`error: ${messageOf(error)}\n`);
      throw error;
    }
  } finally {
    await connection.finish();
  }
}

function callOf(connection: ServerConnection, { log, trusted }: ServeServerOptions): ServedCall {
  const listener: BuildReporter = {
    started: () => undefined,
    phase: () => undefined,
    logged: (lines) => log(lines.map((line) => `${line}\n`).join("")),
    noticed: (message) => log(`${message}\n`),
  };
  return {
    signal: connection.signal,
    trusted,
    options: null,
    notice: (message) => log(`${message}\n`),
    building: () => listener,
  };
}

const WRITING: ReadonlySet<ServeCommand> = new Set(["importPaths", "buildPaths", "buildDerivation", "addToStoreNar"]);

async function serveOne(serving: Serving, allowWrite: boolean): Promise<void> {
  const { reader } = serving.connection;
  const code = await reader.readU64();
  const command = commandOf(code);
  if (command === undefined || command === "exportPaths") {
    throw new EngineError("protocol", "PROTOCOL_UNSUPPORTED", `serve command ${code} is not supported`);
  }
  if (WRITING.has(command) && !allowWrite) {
    throw new EngineError(
      "store",
      "STORE_NOT_PRIVILEGED",
      `'${command}' is not allowed: this store is served without --write`,
    );
  }
  const writer = new ByteWriter();
  await perform(serving, command, reader, writer);
  serving.connection.send(writer);
}

async function perform(serving: Serving, command: ServeCommand, reader: ByteReader, writer: ByteWriter): Promise<void> {
  const { handler, call } = serving;
  switch (command) {
    case "queryValidPaths": {
      const lock = await reader.readBool();
      const substitute = await reader.readBool();
      const paths = await readStorePaths(reader);
      if (lock) for (const path of paths) await handler.addTempRoot(path, call);
      writeStorePaths(writer, await handler.queryValidPaths(paths, substitute, call));
      return;
    }
    case "queryPathInfos": {
      for (const path of await readStorePaths(reader)) {
        const info = await handler.queryPathInfo(path, call);
        if (info !== null) writeQueriedInfo(writer, info);
      }
      writer.string("");
      return;
    }
    case "dumpStorePath": {
      const nar = await handler.narFromPath(await readStorePath(reader), call);
      await serving.connection.sendContents(nar);
      return;
    }
    case "queryClosure": {
      const includeOutputs = await reader.readBool();
      writeStorePaths(writer, await closureOf(serving, await readStorePaths(reader), includeOutputs));
      return;
    }
    case "addToStoreNar":
      await addNar(serving, reader);
      writer.u64(1);
      return;
    case "importPaths":
      while (await reader.readBool()) await importOne(serving, reader);
      writer.u64(1);
      return;
    case "buildPaths": {
      const targets = await reader.readList(MAX_ITEMS, () => readTarget(reader), "targets");
      const limits = await readLimits(serving, reader);
      const builds = await handler.buildPaths(targets, "normal", limits, call);
      const failed = builds.find((build) => !isSuccess(build.result.status));
      if (failed === undefined) writer.u64(0);
      else writer.u64(exitStatusOf(failed.result)).string(failed.result.errorMessage);
      return;
    }
    case "buildDerivation": {
      const drvPath = await readStorePath(reader);
      const derivation = await readBasicDerivation(reader, drvPath);
      const limits = await readLimits(serving, reader);
      const build = await handler.buildDerivation(drvPath, derivation, "normal", limits, call);
      writeBuildResult(writer, serveResultLayout(serving.minor), build.result, build.derivationHash);
      return;
    }
    case "exportPaths":
      return;
  }
}

async function readLimits(serving: Serving, reader: ByteReader): Promise<ServeBuildOptions> {
  const { options, repeats } = await readBuildOptions(reader, serving.minor);
  if (repeats === 0n) return options;
  throw new EngineError(
    "protocol",
    "PROTOCOL_UNSUPPORTED",
    "client requested repeating builds, but this is not currently implemented",
  );
}

async function readTarget(reader: ByteReader): Promise<DerivedPath> {
  const text = await reader.readString(MAX_STRING_BYTES, "a target");
  const target = parseDerivedPath(text, false);
  if (target === null)
    throw reader.fail("WIRE_BAD_VALUE", "expected a store path or 'drv!outputs'", `'${text.slice(0, 300)}'`);
  return target;
}

async function addNar(serving: Serving, reader: ByteReader): Promise<void> {
  const info = await readUnkeyedPathInfo(reader, await readStorePath(reader));
  const request = { info, repair: false, checkSignatures: !serving.trusted };
  const stream = reader.readExactStream(info.narSize, `the NAR of ${info.path}`);
  await withStream(stream, (nar) => serving.handler.addToStoreNar(request, nar, serving.call));
}

async function importOne(serving: Serving, reader: ByteReader): Promise<void> {
  const hash = createHasher("sha256");
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of copyNar(reader)) {
    size += chunk.length;
    if (size > MAX_IMPORT_BYTES)
      throw reader.fail("WIRE_TOO_LONG", `expected an imported NAR of at most ${MAX_IMPORT_BYTES} bytes`, "more");
    hash.update(chunk);
    chunks.push(chunk);
  }
  const { path, references, deriver } = await readExportTrailer(reader);
  const info = {
    path,
    references,
    deriver,
    narHash: hash.digest(),
    narSize: BigInt(size),
    registrationTime: 0n,
    ultimate: false,
    signatures: [],
    contentAddress: null,
  };
  const request = { info, repair: false, checkSignatures: !serving.trusted };
  await serving.handler.addToStoreNar(request, each(chunks), serving.call);
}

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function closureOf(
  { handler, call }: Serving,
  roots: readonly StorePath[],
  includeOutputs: boolean,
): Promise<ReadonlySet<StorePath>> {
  const closure = new Set(roots);
  // A Set can grow during iteration, which then also visits the additions.
  for (const path of closure) {
    const info = await handler.queryPathInfo(path, call);
    if (info === null) throw new EngineError("store", "STORE_PATH_NOT_VALID", `path '${path}' is not valid`);
    for (const reference of info.references) closure.add(reference);
    if (!includeOutputs || !path.endsWith(".drv")) continue;
    for (const output of (await handler.queryDerivationOutputs(path, call)).values()) {
      if (output !== null && (await handler.isValidPath(output, call))) closure.add(output);
    }
  }
  return closure;
}

/** Nix's exit status of a failed build: 100, 101 timed out, 104 not deterministic. */
function exitStatusOf(result: BuildResult): number {
  if (result.status === "TimedOut") return 101;
  return result.status === "NotDeterministic" ? 104 : 100;
}
