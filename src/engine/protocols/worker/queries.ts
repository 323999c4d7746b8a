// The operations of a Nix daemon that only query or maintain: one request, one short answer (Nix: worker-protocol.hh, remote-store.cc).
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ByteReader } from "../../formats/wire/reader.ts";
import type { ByteWriter } from "../../formats/wire/writer.ts";
import { MAX_ITEMS, MAX_NAME_BYTES, MAX_STRING_BYTES } from "../limits.ts";
import type { LogListener } from "../log-frame.ts";
import type { Pipeline } from "../pipeline.ts";
import { type DerivedPath, printDerivedPath } from "../values/derived-path.ts";
import { readUnkeyedPathInfo } from "../values/path-info.ts";
import { readOptionalStorePath, readStorePath, readStorePaths, writeStorePaths } from "../values/paths.ts";
import { parseRealisation, printRealisation, type Realisation } from "../values/realisation.ts";
import {
  type ClientOptions,
  type GcRequest,
  type GcResult,
  readOutputMap,
  writeClientOptions,
  writeGcRequest,
} from "./codec.ts";
import type { Conversation } from "./conversation.ts";
import type { WorkerOperation } from "./operations.ts";

/** The answer of QueryMissing. */
export interface MissingPaths {
  readonly willBuild: readonly StorePath[];
  readonly willSubstitute: readonly StorePath[];
  readonly unknown: readonly StorePath[];
  readonly downloadSize: bigint;
  readonly narSize: bigint;
}

/** The short operations of a connection; {@link WorkerConnection} adds the long ones. */
export class WorkerQueries {
  readonly minor: number;
  readonly features: readonly string[];
  /** The daemon's Nix version, null before protocol 1.33. */
  readonly nixVersion: string | null;
  /** Whether the daemon trusts this client; null when it does not say (before 1.35). */
  readonly trusted: boolean | null;
  protected readonly pipeline: Pipeline;
  protected readonly conversation: Conversation;

  protected constructor(conversation: Conversation) {
    this.conversation = conversation;
    this.pipeline = conversation.pipeline;
    this.minor = conversation.agreement.minor;
    this.features = conversation.agreement.features;
    this.nixVersion = conversation.agreement.nixVersion;
    this.trusted = conversation.agreement.trusted;
  }

  isValidPath(path: StorePath): Promise<boolean> {
    return this.ask(
      "isValidPath",
      (writer) => writer.string(path),
      (reader) => reader.readBool(),
    );
  }

  /** Which of the paths are valid; with `substitute` (≥ 1.27) the daemon fetches missing ones first. */
  queryValidPaths(paths: Iterable<StorePath>, substitute: boolean, onLog?: LogListener): Promise<StorePath[]> {
    const write = (writer: ByteWriter): void => {
      writeStorePaths(writer, paths);
      if (this.minor >= 27) writer.bool(substitute);
    };
    return this.ask("queryValidPaths", write, readStorePaths, onLog);
  }

  /** Information on a path, null when it is not valid. */
  queryPathInfo(path: StorePath): Promise<PathInfo | null> {
    return this.ask(
      "queryPathInfo",
      (writer) => writer.string(path),
      async (reader) => ((await reader.readBool()) ? readUnkeyedPathInfo(reader, path) : null),
    );
  }

  /** Information on the valid ones of the paths, queried back to back. */
  async queryPathInfos(paths: Iterable<StorePath>): Promise<Map<StorePath, PathInfo>> {
    const infos = await Promise.all(Array.from(paths, (path) => this.queryPathInfo(path)));
    return new Map(infos.filter((info) => info !== null).map((info) => [info.path, info]));
  }

  queryReferrers(path: StorePath): Promise<StorePath[]> {
    return this.ask("queryReferrers", (writer) => writer.string(path), readStorePaths);
  }

  queryAllValidPaths(): Promise<StorePath[]> {
    return this.ask("queryAllValidPaths", () => undefined, readStorePaths);
  }

  /** The valid path whose base name begins with the 32 digits, null when there is none. */
  queryPathFromHashPart(hashPart: string): Promise<StorePath | null> {
    return this.ask("queryPathFromHashPart", (writer) => writer.string(hashPart), readOptionalStorePath);
  }

  /** Which of the paths the daemon's substituters have. */
  querySubstitutablePaths(paths: Iterable<StorePath>, onLog?: LogListener): Promise<StorePath[]> {
    return this.ask("querySubstitutablePaths", (writer) => writeStorePaths(writer, paths), readStorePaths, onLog);
  }

  /** What the daemon would build and fetch to make the targets valid. */
  queryMissing(targets: readonly DerivedPath[], onLog?: LogListener): Promise<MissingPaths> {
    const read = async (reader: ByteReader): Promise<MissingPaths> => ({
      willBuild: await readStorePaths(reader),
      willSubstitute: await readStorePaths(reader),
      unknown: await readStorePaths(reader),
      downloadSize: await reader.readU64(),
      narSize: await reader.readU64(),
    });
    return this.ask("queryMissing", (writer) => this.writeTargets(writer, targets), read, onLog);
  }

  /** Output name → path of a valid derivation, null while unknown. */
  queryDerivationOutputMap(drvPath: StorePath): Promise<Map<string, StorePath | null>> {
    return this.ask("queryDerivationOutputMap", (writer) => writer.string(drvPath), readOutputMap);
  }

  /** The path of an output (`sha256:<hex>!<name>`), null while unknown. */
  queryRealisation(id: string): Promise<StorePath | null> {
    const read = async (reader: ByteReader): Promise<StorePath | null> => {
      if (this.minor < 31) return (await readStorePaths(reader))[0] ?? null;
      const texts = await reader.readList(MAX_ITEMS, () => reader.readString(MAX_STRING_BYTES, "a realisation"));
      return texts.map(parseRealisation).find((realisation) => realisation !== null)?.path ?? null;
    };
    return this.ask("queryRealisation", (writer) => writer.string(id), read);
  }

  registerDrvOutput(realisation: Realisation): Promise<void> {
    const write = (writer: ByteWriter): void => {
      if (this.minor < 31) writer.string(realisation.id).string(realisation.path);
      else writer.string(printRealisation(realisation));
    };
    return this.ask("registerDrvOutput", write, readNothing);
  }

  /** Keeps a path (valid or not) from the garbage collector while this connection lives. */
  addTempRoot(path: StorePath): Promise<void> {
    return this.ask("addTempRoot", (writer) => writer.string(path), readDone);
  }

  async addTempRoots(paths: Iterable<StorePath>): Promise<void> {
    await Promise.all(Array.from(paths, (path) => this.addTempRoot(path)));
  }

  /** Makes the symlink at `link`, on the daemon's file system, a root. */
  addIndirectRoot(link: string): Promise<void> {
    return this.ask("addIndirectRoot", (writer) => writer.string(link), readDone);
  }

  /** Makes a link to the path and registers it as a root (Nix ≥ 2.20, trusted clients); returns the link. */
  addPermRoot(path: StorePath, link: string): Promise<string> {
    const read = (reader: ByteReader): Promise<string> => reader.readString(MAX_NAME_BYTES, "a link");
    return this.ask("addPermRoot", (writer) => writer.string(path).string(link), read);
  }

  /** Link → path of every root. */
  findRoots(): Promise<Map<string, StorePath>> {
    const read = async (reader: ByteReader): Promise<Map<string, StorePath>> => {
      const readRoot = async (): Promise<[string, StorePath]> => {
        const link = await reader.readString(MAX_STRING_BYTES, "a root");
        return [link, await readStorePath(reader)];
      };
      return new Map(await reader.readList(MAX_ITEMS, readRoot, "roots"));
    };
    return this.ask("findRoots", () => undefined, read);
  }

  setOptions(options: ClientOptions): Promise<void> {
    return this.ask("setOptions", (writer) => writeClientOptions(writer, options), readNothing);
  }

  collectGarbage(request: GcRequest, onLog?: LogListener): Promise<GcResult> {
    const read = async (reader: ByteReader): Promise<GcResult> => {
      const paths = await reader.readList(MAX_ITEMS, () => reader.readString(MAX_NAME_BYTES, "a path"), "paths");
      const bytesFreed = await reader.readU64();
      await reader.readU64();
      return { paths, bytesFreed };
    };
    return this.ask("collectGarbage", (writer) => writeGcRequest(writer, request), read, onLog);
  }

  /** Checks the store; true when errors remain. The errors arrive as notices. */
  verifyStore(checkContents: boolean, repair: boolean, onLog?: LogListener): Promise<boolean> {
    return this.ask(
      "verifyStore",
      (writer) => writer.bool(checkContents).bool(repair),
      (reader) => reader.readBool(),
      onLog,
    );
  }

  protected ask<T>(
    operation: WorkerOperation,
    write: (writer: ByteWriter) => unknown,
    read: (reader: ByteReader) => Promise<T>,
    onLog?: LogListener,
  ): Promise<T> {
    return this.conversation.perform({ operation, write: (writer) => void write(writer), read, onLog });
  }

  protected writeTargets(writer: ByteWriter, targets: readonly DerivedPath[]): void {
    writer.strings(targets.map((target) => printDerivedPath(target, this.minor >= 30)));
  }
}

/** For operations without an answer. */
export async function readNothing(): Promise<void> {}

/** Most operations without a result answer 1. */
export async function readDone(reader: ByteReader): Promise<void> {
  await reader.readU64();
}
