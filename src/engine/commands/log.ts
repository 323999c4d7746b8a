// `log`: finds the log of a build where stores keep logs: on this machine's disk, in this program's own runs, in binary caches.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError, wordsOf } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { parseStoreReference } from "../config/store-reference.ts";
import { baseNameOf, type StorePath } from "../formats/store-path.ts";
import { isHookLog } from "../memory/hook-logs.ts";
import { unpack } from "../stores/binary-cache/nars/compression.ts";
import { readBytes } from "../stores/binary-cache/objects/read-text.ts";
import { type AnyStore, openAnyStore } from "../stores/open/open-any-store.ts";
import type { DerivedPath } from "../stores/store.ts";
import { type ResolveRequest, Resolver } from "./resolve-paths.ts";

/** Longest log read, in bytes. */
const MAX_LOG_BYTES = 1024 * 1024 * 1024;
/** So many of the latest runs are looked through. */
const MOST_RUNS = 1000;

/** One log. */
export interface FoundLog {
  readonly drvPath: StorePath;
  /** Where it was found, as shown to the user. */
  readonly source: string;
  /** As the builder wrote it: bytes of any kind. */
  readonly bytes: Uint8Array;
}

/**
 * The logs of what the words name, in their order.
 * @throws EngineError `LOG_NOT_AVAILABLE` in Nix's words; those of evaluating and of opening stores
 */
export async function readLogs(
  request: ResolveRequest,
  surroundings: Surroundings,
  warned: (message: string) => void,
  clock: Clock = systemClock,
): Promise<FoundLog[]> {
  const config = loadConfig(request.settingsOverrides);
  for (const warning of config.warnings) warned(warning);
  const resolver = new Resolver(config, surroundings, clock, warned);
  try {
    const found: FoundLog[] = [];
    const opened = await resolver.local();
    for (const target of await resolver.targets(request, null)) {
      const drvPath = await derivationOf(target, opened);
      const log = drvPath === null ? null : await findLog(drvPath, opened, config, surroundings, warned, clock);
      if (log === null) throw notAvailable(target.type === "opaque" ? target.path : target.drvPath, drvPath);
      found.push(log);
    }
    return found;
  } finally {
    await resolver.close();
  }
}

async function derivationOf(target: DerivedPath, opened: AnyStore): Promise<StorePath | null> {
  if (target.type === "built") return target.drvPath;
  if (target.path.endsWith(".drv")) return target.path;
  const infos = await opened.store.queryPathInfos([target.path]);
  return infos.get(target.path)?.deriver ?? null;
}

async function findLog(
  drvPath: StorePath,
  opened: AnyStore,
  config: LoadedConfig,
  surroundings: Surroundings,
  warned: (message: string) => void,
  clock: Clock,
): Promise<FoundLog | null> {
  const { settings, context } = config;
  for (const directory of logDirectories(opened, config)) {
    const found = await readStoreLog(directory, drvPath);
    if (found !== null) return { drvPath, ...found };
  }
  const own = await readRunLog(join(settings.journalDir, "logs"), drvPath);
  if (own !== null) return { drvPath, ...own };
  if (opened.type === "cache") {
    const bytes = await opened.store.readLog(drvPath, null);
    if (bytes !== null) return { drvPath, source: opened.store.uri, bytes };
  }
  for (const text of settings.substitute ? settings.substituters : []) {
    try {
      if (parseStoreReference(text, context).reference.type !== "cache") continue;
      const cache = await openAnyStore(text, config, surroundings, clock, warned);
      try {
        const bytes = cache.type === "cache" ? await cache.store.readLog(drvPath, null) : null;
        if (bytes !== null) return { drvPath, source: cache.store.uri, bytes };
      } finally {
        await cache.close();
      }
    } catch (error) {
      warned(wordsOf(error));
    }
  }
  return null;
}

/** Where the store keeps logs on this machine's disk, if it does. */
function logDirectories(opened: AnyStore, { settings }: LoadedConfig): string[] {
  if (opened.type === "embedded") return [opened.store.layout.logDir];
  return opened.type === "daemon" ? [join(settings.logDir, "drvs")] : [];
}

/** `drvs/ab/cdef…-name.drv`, packed or not (Nix: `LocalFSStore::getBuildLogExact`). */
async function readStoreLog(
  directory: string,
  drvPath: StorePath,
): Promise<{ source: string; bytes: Uint8Array } | null> {
  const base = baseNameOf(drvPath);
  const file = join(directory, base.slice(0, 2), base.slice(2));
  const plain = await readIfThere(file);
  if (plain !== null) return { source: file, bytes: plain };
  const packed = await readIfThere(`${file}.bz2`);
  if (packed === null) return null;
  const source = `${file}.bz2`;
  return { source, bytes: await readBytes(unpack(onceOf(packed), "bzip2", packed.length * 10), MAX_LOG_BYTES, source) };
}

/** The log of the latest run of ours that built it: remote failures are kept nowhere else. */
async function readRunLog(
  directory: string,
  drvPath: StorePath,
): Promise<{ source: string; bytes: Uint8Array } | null> {
  const runs = await readdir(directory).catch(() => []);
  const base = baseNameOf(drvPath);
  let latest: { readonly file: string; readonly time: number } | null = null;
  for (const run of runs.slice(-MOST_RUNS)) {
    const names = await readdir(join(directory, run)).catch(() => []);
    for (const name of names) {
      if (!name.startsWith(base) || !name.endsWith(".log") || isHookLog(name)) continue;
      const file = join(directory, run, name);
      const time = (await stat(file).catch(() => null))?.mtimeMs ?? 0;
      if (latest === null || time > latest.time) latest = { file, time };
    }
  }
  if (latest === null) return null;
  const bytes = await readIfThere(latest.file);
  return bytes === null ? null : { source: latest.file, bytes };
}

async function readIfThere(file: string): Promise<Uint8Array | null> {
  try {
    const { size } = await stat(file);
    if (size > MAX_LOG_BYTES) {
      throw new EngineError(
        "store",
        "LOG_TOO_LARGE",
        `'${file}': expected at most ${MAX_LOG_BYTES} bytes, found ${size}`,
        {
          hint: "look at the file itself",
        },
      );
    }
    return await readFile(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
    throw error;
  }
}

async function* onceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function notAvailable(path: StorePath, drvPath: StorePath | null): EngineError {
  return new EngineError("store", "LOG_NOT_AVAILABLE", `build log of '${path}' is not available`, {
    hint:
      drvPath === null
        ? "the store does not know what built it: name the derivation"
        : "it was never built here, or its log was not kept (keep-build-log)",
  });
}
