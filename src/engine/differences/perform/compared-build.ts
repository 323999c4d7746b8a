// Performs a build that is compared: says what it would be compared with, builds as it is told, finds every output that differs, and secures the results while they can be read.

import { EngineError, messageOf } from "../../base/errors.ts";
import type { BuildResult } from "../../derivation/build-result.ts";
import { isSuccess } from "../../derivation/build-result.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { CheckStrategy, MachineSide, OutputThere } from "../../scheduler/plan/rounds/check-strategy.ts";
import type { BuildAnswer, BuildMode, LiveStore, PathStore } from "../../stores/store.ts";
import { judgeAnswer } from "../compare/compare.ts";
import type { ResultMachine } from "../keep/other-result.ts";
import type { ScratchStore } from "../keep/scratch-store.ts";
import { type ComparedBuild, type FoundDifference, foundByCheck, foundByHash, hashesOf, joinFound } from "./found.ts";
import type { SecuredDifference } from "./runner.ts";

/** What a compared build is performed with. */
export interface ComparedWork {
  /** `first` is null when the first result is not there yet: then it is compared afterwards, by its hashes. */
  readonly build: Omit<ComparedBuild, "first"> & { readonly first: ComparedBuild["first"] | null };
  readonly derivation: BasicDerivation;
  readonly machine: ResultMachine & { readonly store: PathStore & LiveStore };
  /** As `StoreDescription.protocol` says. */
  readonly protocol: string;
  readonly isDestination: boolean;
  /** Builds on the machine, whose inputs are valid there. `isRepeated`: after a difference everything is built once more in a store of its own. */
  readonly run: (mode: BuildMode, isRepeated: boolean) => Promise<BuildAnswer>;
  /** Opens a store of its own on the machine; null where there can be none. */
  readonly openScratch: (() => Promise<ScratchStore>) | null;
  /** Copies the inputs there and builds everything. */
  readonly runIn: (scratch: ScratchStore) => Promise<BuildAnswer>;
  /** `Differences.secure`. */
  readonly secure: (found: FoundDifference) => Promise<SecuredDifference>;
  /** Says how the build is done. */
  readonly choose: (side: MachineSide) => Promise<CheckStrategy>;
  /** Told why only the first output that differs is known. */
  readonly incomplete: (reason: string) => void;
}

/** What came of it. `result` is the machine's own answer; `outputs` are infos by name, as they are valid on the machine. */
export type ComparedAnswer =
  /** Every output is the first result's, or there is none yet to compare with. */
  | { readonly type: "same"; readonly result: BuildResult; readonly outputs: ReadonlyMap<string, PathInfo> }
  /** `secured` has one member for each output that differs. */
  | {
      readonly type: "differs";
      readonly result: BuildResult;
      readonly outputs: ReadonlyMap<string, PathInfo>;
      readonly secured: readonly SecuredDifference[];
    }
  /** The machine had the outputs and built nothing. */
  | { readonly type: "notExecuted"; readonly result: BuildResult; readonly outputs: ReadonlyMap<string, PathInfo> }
  /** The build itself failed: no difference. */
  | { readonly type: "failed"; readonly result: BuildResult }
  /** The machine cannot do it; another one must. */
  | { readonly type: "impossible"; readonly reason: string };

/**
 * Builds and compares.
 * @throws what the stores throw (the connection, not the build, failed) and the signal's reason
 */
export async function buildCompared(work: ComparedWork, signal: AbortSignal): Promise<ComparedAnswer> {
  const there = await outputsThere(work, signal);
  const outputs = [...work.derivation.outputs].map(([name, output]): OutputThere => {
    const validity = !("path" in output) ? "unknown" : there.has(name) ? "valid" : "missing";
    return { name, validity };
  });
  const { protocol, machine, openScratch } = work;
  const canOpenScratch = openScratch !== null;
  const strategy = await work.choose({ outputs, protocol, nixVersion: machine.nixVersion, canOpenScratch });
  switch (strategy.type) {
    case "impossible":
      return { type: "impossible", reason: strategy.reason };
    case "plain":
      return answered(work, await work.run("normal", false), there, new Set(strategy.compared));
    case "scratch":
      try {
        return await withScratch(work, (scratch, answer) =>
          answered(work, answer, there, new Set(strategy.compared), scratch.store),
        );
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== "ROUNDS_NO_SCRATCH") throw error;
        return { type: "impossible", reason: `${strategy.reason}, which cannot be had: ${error.message}` };
      }
    case "check": {
      const answer = await work.run("check", strategy.whenDiffers === "wholeInScratch");
      if (answer.result.status !== "NotDeterministic") return answered(work, answer, there, new Set(strategy.compared));
      return told(work, answer.result, there, strategy.whenDiffers, signal);
    }
  }
}

/** The machine found a difference itself. */
async function told(
  work: ComparedWork,
  result: BuildResult,
  there: ReadonlyMap<string, PathInfo>,
  whenDiffers: Extract<CheckStrategy, { type: "check" }>["whenDiffers"],
  signal: AbortSignal,
): Promise<ComparedAnswer> {
  const build = withFirst(work, there);
  const named = foundByCheck(build, result.errorMessage, work.machine, work.isDestination, there);
  // Accounts without trust are not given the other result: then it is made once more, to have something to look at.
  const isKept = named.some(({ candidates }) => candidates.some(({ type }) => type !== "valid"));
  if (whenDiffers !== "wholeInScratch" && (isKept || work.openScratch === null)) {
    if (whenDiffers === "firstOnly") work.incomplete("no store of its own can be opened on the machine");
    return { type: "differs", result, outputs: there, secured: await secureAll(work, named) };
  }
  let secured: readonly SecuredDifference[] | null = null;
  try {
    secured = await withScratch(work, async (scratch, whole) => {
      if (!isSuccess(whole.result.status)) throw new Error(whole.result.errorMessage);
      return secureAll(work, joinFound(foundByHash(build, scratch.store, whole.outputs), named));
    });
  } catch (error) {
    signal.throwIfAborted();
    if (whenDiffers !== "done") work.incomplete(messageOf(error));
  }
  return { type: "differs", result, outputs: there, secured: secured ?? (await secureAll(work, named)) };
}

/** Judges an answer by hashes. `where` is the store the outputs are valid in. */
async function answered(
  work: ComparedWork,
  { result, outputs }: BuildAnswer,
  there: ReadonlyMap<string, PathInfo>,
  compared: ReadonlySet<string>,
  where: PathStore = work.machine.store,
): Promise<ComparedAnswer> {
  const { first } = work.build;
  const judgement = judgeAnswer(
    result.status,
    first === null ? new Map() : hashesOf(first.outputs),
    hashesOf(outputs),
    compared,
  );
  switch (judgement.type) {
    case "same":
      return { type: "same", result, outputs };
    case "notExecuted":
      return { type: "notExecuted", result, outputs };
    case "differs": {
      const made = new Map([...outputs].filter(([name]) => compared.has(name)));
      const secured = await secureAll(work, foundByHash(withFirst(work, there), where, made));
      return { type: "differs", result, outputs, secured };
    }
    case "toldDifferent":
    case "failed":
      return { type: "failed", result };
  }
}

async function withScratch<T>(
  work: ComparedWork,
  use: (scratch: ScratchStore, answer: BuildAnswer) => Promise<T>,
): Promise<T> {
  const scratch = await work.openScratch!();
  try {
    return await use(scratch, await work.runIn(scratch));
  } finally {
    await scratch.dispose();
  }
}

/** Without a first result from elsewhere, what was valid on the machine before is what the machine compared with. */
function withFirst({ build, machine }: ComparedWork, there: ReadonlyMap<string, PathInfo>): ComparedBuild {
  const first = build.first ?? { machine: build.machine, store: machine.store, outputs: there, staysValid: false };
  return { ...build, first };
}

async function secureAll(work: ComparedWork, found: readonly FoundDifference[]): Promise<SecuredDifference[]> {
  const secured: SecuredDifference[] = [];
  for (const difference of found) secured.push(await work.secure(difference));
  return secured;
}

/** Infos of the outputs that are valid on the machine, which keeps them from here on. */
async function outputsThere(
  { derivation, machine }: ComparedWork,
  signal: AbortSignal,
): Promise<Map<string, PathInfo>> {
  const paths = new Map<string, StorePath>();
  for (const [name, output] of derivation.outputs) if ("path" in output) paths.set(name, output.path);
  const valid = await machine.store.lockValidPaths([...paths.values()], signal);
  const infos = await machine.store.queryPathInfos(valid, signal);
  const there = new Map<string, PathInfo>();
  for (const [name, path] of paths) {
    const info = infos.get(path);
    if (info !== undefined) there.set(name, info);
  }
  return there;
}
