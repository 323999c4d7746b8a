// `copy`: brings paths and what they refer to from one store into another; only what is missing there moves.
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import type { PathInfo } from "../formats/path-info.ts";
import type { StorePath } from "../formats/store-path.ts";
import { type CopyOptions, copyPaths } from "../stores/copy.ts";
import { type AnyStore, openAnyStore } from "../stores/open/open-any-store.ts";
import { PathInfos, referencesFirst } from "../stores/path-infos.ts";
import type { PathStore } from "../stores/store.ts";
import { allPathsOf } from "./all-paths.ts";
import { type ResolveRequest, Resolver } from "./resolve-paths.ts";

/** What is to be copied. */
export interface CopyRequest extends ResolveRequest {
  /** Null: the store of the settings. */
  readonly from: string | null;
  readonly to: string | null;
  readonly all: boolean;
  /** Whether what paths refer to goes along. */
  readonly recursive: boolean;
  readonly checkSignatures: boolean;
  /** Let the destination fetch from its substituters what these have. */
  readonly substituteOnDestination: boolean;
}

/** How far it is. Bytes are those of NARs, before packing. */
export interface CopyProgress {
  readonly donePaths: number;
  readonly paths: number;
  readonly doneBytes: bigint;
  readonly expectedBytes: bigint;
}

/** Hears of a copy as it goes on. Called synchronously and often; must not throw. */
export interface CopyReporter {
  /** What is missing in the destination is known. */
  planned(paths: number, bytes: bigint): void;
  /** A path is on its way; `store` is where from (a substituter of the destination) or where to, as Nix words it. */
  copying(path: StorePath, preposition: "from" | "to", store: string): void;
  progressed(progress: CopyProgress): void;
  warned(message: string): void;
}

export interface CopyOutcome {
  /** In the order they were sent. */
  readonly copied: readonly StorePath[];
  readonly alreadyThere: number;
  readonly bytes: bigint;
  readonly durationMs: number;
}

/**
 * Copies. What arrived before a failure or an abort stays valid in the destination.
 * @throws EngineError of any family; the signal's reason
 */
export async function copy(
  request: CopyRequest,
  surroundings: Surroundings,
  report: CopyReporter,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<CopyOutcome> {
  const config = loadConfig(request.settingsOverrides);
  for (const warning of config.warnings) report.warned(warning);
  const notice = (message: string): void => report.warned(message);
  const resolver = new Resolver(config, surroundings, clock, notice);
  const opened: AnyStore[] = [];
  const open = async (text: string | null, directory: "made" | "demanded"): Promise<AnyStore> => {
    if (text === null) return resolver.local(directory);
    const store = await openAnyStore(text, config, surroundings, clock, notice, directory);
    opened.push(store);
    return store;
  };
  try {
    const [from, to] = await bothOrNeither(open(request.from, "demanded"), open(request.to, "made"));
    signal.throwIfAborted();
    const paths = request.all ? await allPathsOf(from) : await resolver.paths(request, signal);
    if (paths.length === 0) throw nothingToCopy(request);
    return await copyBetween(from, to, paths, request, report, signal, clock);
  } catch (error) {
    throw request.from === null ? withSource(error, resolver.rootsLinked) : error;
  } finally {
    await Promise.allSettled([...opened.map((store) => store.close()), resolver.close()]);
  }
}

/** What was not asked for by name is easily the wrong store: says how to name another. */
function withSource(error: unknown, roots: readonly string[]): unknown {
  if (!(error instanceof EngineError) || error.code !== "STORE_PATH_NOT_VALID" || error.hint !== null) return error;
  const [root] = roots;
  const hint =
    root === undefined
      ? "name the store that has it: --from DIR, or --from ssh-ng://HOST"
      : `the link leads into the store below '${root}': --from '${root}' copies from there`;
  return new EngineError(error.family, error.code, error.message, { hint, cause: error });
}

/** Waits for both also when one fails, so that what the other opens is known and can be closed. */
async function bothOrNeither<T>(one: Promise<T>, other: Promise<T>): Promise<[T, T]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

type CopyRules = Pick<CopyRequest, "recursive" | "checkSignatures" | "substituteOnDestination">;

/** Copies paths between open stores. */
export async function copyBetween(
  from: AnyStore,
  to: AnyStore,
  paths: readonly StorePath[],
  rules: CopyRules,
  report: CopyReporter,
  signal: AbortSignal,
  clock: Clock,
): Promise<CopyOutcome> {
  const startedAt = clock.now();
  const infos = new PathInfos(from.store);
  const wanted = rules.recursive ? await infos.closure(paths, signal) : referencesFirst(await infos.get(paths, signal));
  const names = wanted.map((info) => info.path);
  const present = await to.store.queryValidPaths(names, signal);
  if (rules.substituteOnDestination && to.type !== "cache") {
    for (const path of await substituteAt(to, names, present, report, signal)) present.add(path);
  }
  // Wherever it was built, the destination did not build it.
  const missing = wanted
    .filter((info) => !present.has(info.path))
    .map((info): PathInfo => ({ ...info, ultimate: false }));
  const expectedBytes = missing.reduce((sum, info) => sum + info.narSize, 0n);
  report.planned(missing.length, expectedBytes);
  let donePaths = 0;
  let doneBytes = 0n;
  const tell = (): void => report.progressed({ donePaths, paths: missing.length, doneBytes, expectedBytes });
  const watched = watchReads(from.store, {
    begun: (path) => report.copying(path, "to", to.store.uri),
    ended: () => {
      donePaths += 1;
      tell();
    },
  });
  if (missing.length > 0) {
    await explained({
      from: watched,
      to: to.store,
      paths: missing,
      // Whoever may write by ssh:// is believed there, as by Nix (legacy-ssh-store.cc); ssh-ng:// asks for signatures.
      checkSignatures: rules.checkSignatures && !to.store.uri.startsWith("ssh://"),
      report: (progress) => {
        doneBytes = progress.doneBytes;
        tell();
      },
      signal,
    });
  }
  return {
    copied: missing.map((info) => info.path),
    alreadyThere: wanted.length - missing.length,
    bytes: expectedBytes,
    durationMs: clock.now() - startedAt,
  };
}

/** Copies; what is refused for want of a signature says how to get one. */
async function explained(options: CopyOptions): Promise<void> {
  try {
    await copyPaths(options);
  } catch (error) {
    if (!(error instanceof EngineError) || error.hint !== null || !/lacks a (?:valid )?signature/.test(error.message))
      throw error;
    throw new EngineError(error.family, error.code, error.message, {
      hint:
        "sign it with a key that is among the trusted-public-keys there (tsbuild-top sign-paths -r --key-file FILE PATH), " +
        "or, where that store trusts you, give --no-check-sigs",
      cause: error,
    });
  }
}

/** Has the destination fetch what it can; gives back what it has now. What it cannot fetch is copied after all. */
async function substituteAt(
  to: Exclude<AnyStore, { type: "cache" }>,
  names: readonly StorePath[],
  present: ReadonlySet<StorePath>,
  report: CopyReporter,
  signal: AbortSignal,
): Promise<Set<StorePath>> {
  const missing = names.filter((path) => !present.has(path));
  for (const path of await to.store.querySubstitutable(missing, signal)) {
    try {
      const copying = (fetched: StorePath, source: string): void => report.copying(fetched, "from", source);
      await to.store.ensurePath(path, () => undefined, signal, copying);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof EngineError)) throw error;
      report.warned(`'${path}' could not be substituted at '${to.store.uri}' and is copied: ${error.message}`);
    }
  }
  return to.store.queryValidPaths(missing, signal);
}

interface ReadWatcher {
  readonly begun: (path: StorePath) => void;
  readonly ended: (path: StorePath) => void;
}

function watchReads(store: PathStore, watcher: ReadWatcher): PathStore {
  return {
    uri: store.uri,
    describe: (signal) => store.describe(signal),
    queryValidPaths: (paths, signal) => store.queryValidPaths(paths, signal),
    queryPathInfos: (paths, signal) => store.queryPathInfos(paths, signal),
    close: () => store.close(),
    checksNars: store.checksNars,
    async *narFromPath(path, size, signal) {
      watcher.begun(path);
      const sha256 = yield* store.narFromPath(path, size, signal);
      watcher.ended(path);
      return sha256;
    },
  };
}

function nothingToCopy({ all }: CopyRequest): EngineError {
  return new EngineError("usage", "COPY_NOTHING", all ? "the store is empty" : "expected paths to copy, found none", {
    hint: "name store paths, derivations or installables, or give --all",
  });
}
