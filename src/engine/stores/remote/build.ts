// Building over a worker connection: the request, the log, and the infos of the outputs in the same round trip.

import { EngineError } from "../../base/errors.ts";
import type { BuildResult } from "../../derivation/build-result.ts";
import { isSuccess } from "../../derivation/build-result.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { hearBuild } from "../../protocols/build-log.ts";
import { isRemoteError } from "../../protocols/remote-error.ts";
import type { WorkerConnection } from "../../protocols/worker/client.ts";
import type { BuildAnswer, BuildReporter, BuildRequest } from "../store.ts";
import { buildClientOptions } from "./client-options.ts";

/** What is known about the machine that gets a build. */
export interface BuildMachine {
  /** NIX_BUILD_CORES if the user set none, 0 all. */
  readonly cores: number;
  /** Settings for every build there. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** The options last sent on each connection, so that they are sent again only when they change. */
const sentOptions = new WeakMap<WorkerConnection, string>();

/** Builds one derivation alone (BuildDerivation). A RemoteError counts as a failed build: the connection remains usable. */
export async function buildOne(
  connection: WorkerConnection,
  request: BuildRequest,
  report: BuildReporter,
  machine: BuildMachine,
): Promise<BuildAnswer> {
  configure(connection, request, machine);
  const building = connection.buildDerivation(request.drvPath, request.derivation, request.mode, hearBuild(report));
  // The queries for the outputs are sent right after the request and answered right after its answer.
  const known = knownOutputs(request);
  const asking = connection.queryPathInfos(known.values());
  asking.catch(() => undefined);
  const result = await resultOf(building);
  if (!isSuccess(result.status)) {
    await asking.catch(() => undefined);
    return { result, outputs: new Map() };
  }
  const infos = await asking;
  return { result, outputs: await outputInfos(connection, request, result, known, infos) };
}

/** Builds through the `.drv` closure that is valid there, which untrusted accounts may do (Nix ≥ 2.8, worker protocol 1.34). */
export async function buildFromClosure(
  connection: WorkerConnection,
  request: BuildRequest,
  report: BuildReporter,
  machine: BuildMachine,
): Promise<BuildAnswer> {
  configure(connection, request, machine);
  const target = { type: "built", drvPath: request.drvPath, outputs: [...request.derivation.outputs.keys()] } as const;
  const building = connection.buildPathsWithResults([target], request.mode, hearBuild(report)).then((results) => {
    const [result] = results.values();
    if (result !== undefined) return result;
    throw new EngineError("protocol", "BUILD_RESULT_MISSING", `expected a result for '${request.drvPath}', found none`);
  });
  const result = await resultOf(building);
  if (!isSuccess(result.status)) return { result, outputs: new Map() };
  const known = knownOutputs(request);
  const infos = await connection.queryPathInfos(known.values());
  return { result, outputs: await outputInfos(connection, request, result, known, infos) };
}

function configure(connection: WorkerConnection, request: BuildRequest, machine: BuildMachine): void {
  const options = buildClientOptions(request.options, machine.cores, machine.overrides, connection.nixVersion);
  const key = JSON.stringify([options, [...options.overrides]]);
  if (sentOptions.get(connection) === key) return;
  sentOptions.set(connection, key);
  // The daemon answers overrides that an untrusted account may not set only with warnings.
  connection.setOptions(options).catch(() => undefined);
}

async function resultOf(building: Promise<BuildResult>): Promise<BuildResult> {
  try {
    return await building;
  } catch (error) {
    if (!isRemoteError(error)) throw error;
    return {
      status: "MiscFailure",
      errorMessage: error.remoteMessage,
      timesBuilt: 0,
      isNonDeterministic: false,
      startTime: 0,
      stopTime: 0,
      cpuUserMicros: null,
      cpuSystemMicros: null,
      builtOutputs: new Map(),
    };
  }
}

function knownOutputs(request: BuildRequest): Map<string, StorePath> {
  const known = new Map<string, StorePath>();
  for (const [name, output] of request.derivation.outputs) if ("path" in output) known.set(name, output.path);
  return known;
}

async function outputInfos(
  connection: WorkerConnection,
  request: BuildRequest,
  result: BuildResult,
  known: ReadonlyMap<string, StorePath>,
  infos: ReadonlyMap<StorePath, PathInfo>,
): Promise<Map<string, PathInfo>> {
  const paths = new Map([...known, ...result.builtOutputs]);
  const unknown = [...paths.values()].filter((path) => !infos.has(path));
  const all = unknown.length === 0 ? infos : new Map([...infos, ...(await connection.queryPathInfos(unknown))]);
  const outputs = new Map<string, PathInfo>();
  for (const name of request.derivation.outputs.keys()) {
    const path = paths.get(name);
    const info = path === undefined ? undefined : all.get(path);
    if (info === undefined) {
      throw new EngineError(
        "protocol",
        "BUILD_OUTPUT_MISSING",
        `the build of '${request.drvPath}' is said to have succeeded: expected its output '${name}' to be valid, found ${path === undefined ? "no path for it" : `that '${path}' is not`}`,
      );
    }
    outputs.set(name, info);
  }
  return outputs;
}
