// What the worker server does for each operation: read the arguments, work, write the answer (Nix: daemon.cc).

import { EngineError } from "../../base/errors.ts";
import { isSuccess } from "../../derivation/build-result.ts";
import { parseStorePath, STORE_DIR, type StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import type { ServedBuild, ServedCall } from "../handler.ts";
import { MAX_ITEMS, MAX_NAME_BYTES, MAX_STRING_BYTES } from "../limits.ts";
import { readBasicDerivation } from "../values/basic-derivation.ts";
import { workerResultLayout, writeBuildResult } from "../values/build-result.ts";
import { type DerivedPath, parseDerivedPath, printDerivedPath } from "../values/derived-path.ts";
import { writePathInfo, writeUnkeyedPathInfo } from "../values/path-info.ts";
import { checked, readNames, readStorePath, readStorePaths, writeStorePaths } from "../values/paths.ts";
import { parseRealisation, printRealisation, type Realisation } from "../values/realisation.ts";
import { type BuildMode, readBuildMode, readClientOptions, readGcRequest, readNarRequest } from "./codec.ts";
import { isContentAddressed } from "./content-addressed.ts";
import type { WorkerOperation } from "./operations.ts";
import { receiveFramed, receiveMany, receiveNar } from "./server-uploads.ts";
import type { Session } from "./session.ts";

/** Writes the answer that follows the log; may return contents to be sent after it. */
export type Answer = (writer: ByteWriter) => unknown;

/** The work of an operation. Its errors are reported to the client, and the connection continues. */
export type Work = (call: ServedCall) => Promise<Answer | NarAnswer>;

/** A NAR as the answer. */
export interface NarAnswer {
  readonly nar: AsyncIterable<Uint8Array>;
}

/** Reads the arguments of an operation. Its errors end the connection, because the start of the next request is then unknown. */
type ReadRequest = (reader: ByteReader, session: Session) => Promise<Work>;

const DONE: Answer = (writer) => writer.u64(1);
const NOTHING: Answer = () => undefined;

/** All operations that are served. */
export const SERVED: Readonly<Record<WorkerOperation, ReadRequest>> = {
  isValidPath: onPath((path, call, { handler }) =>
    answer(handler.isValidPath(path, call), (w, valid) => w.bool(valid)),
  ),
  queryReferrers: onPath((path, call, { handler }) => answer(handler.queryReferrers(path, call), writeStorePaths)),
  queryValidDerivers: onPath((path, call, { handler }) =>
    answer(handler.queryValidDerivers(path, call), writeStorePaths),
  ),
  queryPathInfo: onPath((path, call, { handler }) =>
    answer(handler.queryPathInfo(path, call), (writer, info) => {
      writer.bool(info !== null);
      if (info !== null) writeUnkeyedPathInfo(writer, info);
    }),
  ),
  ensurePath: onPath((path, call, { handler }) => answer(handler.ensurePath(path, call), DONE)),
  addTempRoot: onPath((path, call, { handler }) => answer(handler.addTempRoot(path, call), DONE)),
  narFromPath: onPath(async (path, call, { handler }) => ({ nar: await handler.narFromPath(path, call) })),
  queryDerivationOutputMap: onPath((path, call, { handler }) =>
    answer(handler.queryDerivationOutputs(path, call), (writer, outputs) =>
      writer.list(outputs, ([name, output]) => writer.string(name).string(output ?? "")),
    ),
  ),
  /** Superseded by QueryMissing, like the next one; reports nothing as substitutable. */
  querySubstitutablePathInfo: onPath(async () => (writer) => writer.bool(false)),
  querySubstitutablePathInfos: async (reader, { minor }) => {
    const readItem = async (): Promise<void> => {
      await readStorePath(reader);
      if (minor >= 22) await reader.readString(MAX_NAME_BYTES, "a content address");
    };
    await reader.readList(MAX_ITEMS, readItem, "store paths");
    return async () => (writer) => writer.u64(0);
  },
  syncWithGc: async () => async () => DONE,
  queryAllValidPaths:
    async (_, { handler }) =>
    (call) =>
      answer(handler.queryAllValidPaths(call), writeStorePaths),
  queryValidPaths: async (reader, { handler, minor }) => {
    const paths = await readStorePaths(reader);
    const substitute = minor >= 27 ? await reader.readBool() : false;
    return (call) => answer(handler.queryValidPaths(paths, substitute, call), writeStorePaths);
  },
  querySubstitutablePaths: async (reader, { handler }) => {
    const paths = await readStorePaths(reader);
    return (call) => answer(handler.querySubstitutablePaths(paths, call), writeStorePaths);
  },
  queryPathFromHashPart: async (reader, { handler }) => {
    const hashPart = await reader.readString(MAX_NAME_BYTES, "a hash part");
    return (call) => answer(handler.queryPathFromHashPart(hashPart, call), (writer, path) => writer.string(path ?? ""));
  },
  queryMissing: async (reader, { handler, minor }) => {
    const targets = await readTargets(reader, minor);
    return (call) =>
      answer(handler.queryMissing(targets, call), (writer, missing) => {
        for (const paths of [missing.willBuild, missing.willSubstitute, missing.unknown])
          writeStorePaths(writer, paths);
        writer.u64(missing.downloadSize).u64(missing.narSize);
      });
  },
  queryRealisation: async (reader, { handler, minor }) => {
    const id = await reader.readString(MAX_NAME_BYTES, "an output id");
    return (call) =>
      answer(handler.queryRealisation(id, call), (writer, path) => {
        const known = path === null ? [] : [path];
        writer.strings(
          minor < 31 ? known : known.map((output) => printRealisation({ id, path: output, signatures: [] })),
        );
      });
  },
  registerDrvOutput: async (reader, { handler, minor, trusted }) => {
    const realisation = minor < 31 ? await readOldRealisation(reader) : await readRealisation(reader);
    return (call) => {
      if (!trusted) throw notPrivileged("register realisations");
      return answer(handler.registerRealisation(realisation, call), NOTHING);
    };
  },

  addToStoreNar: async (reader, session) => {
    const asked = await readNarRequest(reader);
    // As in Nix: the signatures of an untrusted client's paths are checked, whatever it requests.
    const request = session.trusted
      ? asked
      : { repair: false, checkSignatures: true, info: { ...asked.info, ultimate: false } };
    return (call) => answer(receiveNar(session, request, call), NOTHING);
  },
  addMultipleToStore: async (reader, session) => {
    const repair = await reader.readBool();
    const checkSignatures = !(await reader.readBool()) || !session.trusted;
    return (call) =>
      answer(receiveMany(session, { repair: repair && session.trusted, checkSignatures }, call), NOTHING);
  },
  addToStore: async (reader, session) => {
    if (session.minor < 25) throw outdated("AddToStore before protocol 1.25");
    const name = await reader.readString(MAX_NAME_BYTES, "a name");
    const method = await reader.readString(MAX_NAME_BYTES, "a method");
    const references = await readStorePaths(reader);
    const repair = await reader.readBool();
    if (repair && !session.trusted) throw repairForbidden();
    const request = { name, method, references };
    return (call) =>
      answer(
        receiveFramed(session, (contents) => session.handler.addToStore(request, contents, call)),
        writePathInfo,
      );
  },
  addTextToStore: async (reader, { handler }) => {
    const name = await reader.readString(MAX_NAME_BYTES, "a name");
    const text = await reader.readBytes(MAX_STRING_BYTES, "a text");
    const references = await readStorePaths(reader);
    return (call) =>
      answer(handler.addToStore({ name, method: "text:sha256", references }, once(text), call), (writer, info) =>
        writer.string(info.path),
      );
  },
  addSignatures: async (reader, { handler, trusted }) => {
    const path = await readStorePath(reader);
    const signatures = await readNames(reader, "signatures");
    return (call) => {
      if (!trusted) throw notPrivileged("add signatures");
      return answer(handler.addSignatures(path, signatures, call), DONE);
    };
  },
  addBuildLog: async (reader, session) => {
    const drvPath = checked(reader, `${STORE_DIR}/${await reader.readString(MAX_NAME_BYTES, "a derivation's name")}`);
    return (call) => {
      const keep = async (log: AsyncIterable<Uint8Array>): Promise<void> => {
        if (!session.trusted) throw notPrivileged("add logs");
        await session.handler.addBuildLog(drvPath, log, call);
      };
      return answer(receiveFramed(session, keep), DONE);
    };
  },

  buildDerivation: async (reader, session) => {
    const drvPath = await readStorePath(reader);
    const derivation = await readBasicDerivation(reader, drvPath);
    const mode = await readMode(reader, session);
    return (call) => {
      if (!session.trusted && !isContentAddressed(derivation)) throw notPrivileged("build input-addressed derivations");
      const layout = workerResultLayout(session.minor);
      return answer(session.handler.buildDerivation(drvPath, derivation, mode, null, call), (writer, build) =>
        writeBuildResult(writer, layout, build.result, build.derivationHash),
      );
    };
  },
  buildPaths: async (reader, session) => {
    const targets = await readTargets(reader, session.minor);
    const mode = await readMode(reader, session);
    return async (call) => {
      const builds = await session.handler.buildPaths(targets, mode, null, call);
      const failed = builds.find((build) => !isSuccess(build.result.status));
      if (failed !== undefined) throw new EngineError("build", "BUILD_FAILED", failed.result.errorMessage);
      return DONE;
    };
  },
  buildPathsWithResults: async (reader, session) => {
    const targets = await readTargets(reader, session.minor);
    const mode = await readMode(reader, session);
    return (call) =>
      answer(session.handler.buildPaths(targets, mode, null, call), (writer, builds) =>
        writeResults(writer, session.minor, targets, builds),
      );
  },

  addIndirectRoot: async (reader, { handler }) => {
    const link = await reader.readString(MAX_NAME_BYTES, "a link");
    return (call) => answer(handler.addIndirectRoot(link, call), DONE);
  },
  addPermRoot: async (reader, { handler, trusted }) => {
    const path = await readStorePath(reader);
    const link = await reader.readString(MAX_NAME_BYTES, "a link");
    return (call) => {
      if (!trusted) throw notPrivileged("create perm roots");
      return answer(handler.addPermRoot(path, link, call), (writer, made) => writer.string(made));
    };
  },
  findRoots:
    async (_, { handler }) =>
    (call) =>
      answer(handler.findRoots(call), (writer, roots) =>
        writer.list(roots, ([link, path]) => writer.string(link).string(path)),
      ),
  setOptions: async (reader, session) => {
    const options = await readClientOptions(reader);
    return async (call) => {
      for (const name of session.setOptions(options)) {
        call.notice(
          `warning: ignoring the client-specified setting '${name}', because it is a restricted setting and you are not a trusted user`,
        );
      }
      return NOTHING;
    };
  },
  collectGarbage: async (reader, { handler }) => {
    const { request, ignoreLiveness } = await readGcRequest(reader);
    return (call) => {
      if (ignoreLiveness) throw new EngineError("store", "STORE_REFUSED", "ignoring liveness is not supported");
      return answer(handler.collectGarbage(request, call), (writer, result) =>
        writer.strings(result.paths).u64(result.bytesFreed).u64(0),
      );
    };
  },
  optimiseStore:
    async (_, { handler }) =>
    (call) =>
      answer(handler.optimiseStore(call), DONE),
  verifyStore: async (reader, { handler, trusted }) => {
    const checkContents = await reader.readBool();
    const repair = await reader.readBool();
    return (call) => {
      if (repair && !trusted) throw notPrivileged("repair paths");
      return answer(handler.verifyStore(checkContents, repair, call), (writer, errors) => writer.bool(errors));
    };
  },
};

/** An operation whose only argument is a store path. */
function onPath(
  work: (path: StorePath, call: ServedCall, session: Session) => Promise<Answer | NarAnswer>,
): ReadRequest {
  return async (reader, session) => {
    const path = await readStorePath(reader);
    return (call) => work(path, call, session);
  };
}

async function answer<T>(value: Promise<T>, write: (writer: ByteWriter, value: T) => unknown): Promise<Answer> {
  const known = await value;
  return (writer) => write(writer, known);
}

async function readTargets(reader: ByteReader, minor: number): Promise<DerivedPath[]> {
  const readTarget = async (): Promise<DerivedPath> => {
    const text = await reader.readString(MAX_STRING_BYTES, "a target");
    const target = parseDerivedPath(text, minor >= 30);
    if (target === null)
      throw reader.fail("WIRE_BAD_VALUE", "expected a store path or 'drv!outputs'", `'${text.slice(0, 300)}'`);
    return target;
  };
  return reader.readList(MAX_ITEMS, readTarget, "targets");
}

async function readMode(reader: ByteReader, session: Session): Promise<BuildMode> {
  const mode = await readBuildMode(reader);
  if (mode === "repair" && !session.trusted) throw repairForbidden();
  return mode;
}

function writeResults(
  writer: ByteWriter,
  minor: number,
  targets: readonly DerivedPath[],
  builds: readonly ServedBuild[],
): void {
  const layout = workerResultLayout(minor);
  const pairs = targets.flatMap((target, index): [DerivedPath, ServedBuild][] => {
    const build = builds[index];
    return build === undefined ? [] : [[target, build]];
  });
  writer.list(pairs, ([target, build]) => {
    writer.string(printDerivedPath(target, minor >= 30));
    writeBuildResult(writer, layout, build.result, build.derivationHash);
  });
}

async function readRealisation(reader: ByteReader): Promise<Realisation> {
  const text = await reader.readString(MAX_STRING_BYTES, "a realisation");
  const realisation = parseRealisation(text);
  if (realisation === null)
    throw reader.fail("WIRE_BAD_VALUE", "expected a realisation in JSON", `'${text.slice(0, 300)}'`);
  return realisation;
}

async function readOldRealisation(reader: ByteReader): Promise<Realisation> {
  const id = await reader.readString(MAX_NAME_BYTES, "an output id");
  const text = await reader.readString(MAX_NAME_BYTES, "an output's path");
  // Some releases send a base name, others a full path.
  return {
    id,
    path: text.startsWith("/") ? checked(reader, text) : parseStorePath(`${STORE_DIR}/${text}`),
    signatures: [],
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function notPrivileged(what: string): EngineError {
  return new EngineError("store", "STORE_NOT_PRIVILEGED", `you are not privileged to ${what}`);
}

function repairForbidden(): EngineError {
  return new EngineError(
    "store",
    "STORE_NOT_PRIVILEGED",
    "repairing is not allowed because you are not in 'trusted-users'",
  );
}

function outdated(what: string): EngineError {
  return new EngineError("protocol", "PROTOCOL_UNSUPPORTED", `${what} is not supported`);
}
