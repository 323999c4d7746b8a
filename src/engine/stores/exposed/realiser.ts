// Makes targets valid for a client: the derivations they need, inputs first, each once, a few at a time (Nix: DerivationGoal without its goals).

import { messageOf } from "../../base/errors.ts";
import { type BuildResult, type BuildStatus, isSuccess } from "../../derivation/build-result.ts";
import type { BasicDerivation, Derivation } from "../../derivation/derivation.ts";
import type { HashModulo } from "../../derivation/hash-modulo.ts";
import { chainedLookup, resolveDerivation } from "../../derivation/resolve.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { ServedBuild, ServedCall } from "../../protocols/handler.ts";
import type { DerivedPath } from "../../protocols/values/derived-path.ts";
import type { BuildMode } from "../../protocols/worker/codec.ts";
import type { EmbeddedStore } from "../embedded/embedded-store.ts";
import type { BuildOptions } from "../store.ts";
import type { ServedRealisations } from "./answer-realisations.ts";

/** How to make the targets of one call. */
export interface RealiseOptions {
  readonly options: BuildOptions;
  /** Concurrent builds, at least 1. */
  readonly maxJobs: number;
  /** Whether to continue with what does not depend on a failed build. */
  readonly keepGoing: boolean;
  readonly substitute: boolean;
  readonly call: ServedCall;
}

/** The work of one call. */
export class Realiser {
  readonly #store: EmbeddedStore;
  readonly #realisations: ServedRealisations;
  readonly #options: RealiseOptions;
  /** Derivations already started, so that each is built once. */
  readonly #begun = new Map<StorePath, Promise<ServedBuild>>();
  readonly #turns: Turns;
  #failed = false;

  constructor(store: EmbeddedStore, realisations: ServedRealisations, options: RealiseOptions) {
    this.#store = store;
    this.#realisations = realisations;
    this.#options = options;
    this.#turns = new Turns(options.maxJobs);
  }

  /** One answer per target, in order. Rejects only when the signal aborts it or the store is broken. */
  async realise(targets: readonly DerivedPath[], mode: BuildMode): Promise<ServedBuild[]> {
    // All are started before the first is awaited; meanwhile a rejection must not count as unhandled.
    const settled = await Promise.allSettled(
      targets.map((target) =>
        target.type === "opaque" ? this.#fetch(target.path) : this.#derivation(target.drvPath, target.outputs, mode),
      ),
    );
    return settled.map((one) => {
      if (one.status === "fulfilled") return one.value;
      throw one.reason;
    });
  }

  /** Builds a derivation whose inputs are plain paths. */
  async buildOne(drvPath: StorePath, derivation: BasicDerivation, mode: BuildMode): Promise<ServedBuild> {
    const floating = [...derivation.outputs.values()].some((output) => !("path" in output));
    const modulo = floating || isFixed(derivation) ? this.#realisations.moduloOfResolved(derivation) : null;
    const derivationHash = modulo?.outputs.values().next().value ?? null;
    if (floating && mode === "normal") {
      const known = await this.#validOutputs(derivation, modulo);
      if (known !== null) return { result: plain("AlreadyValid", "", known), derivationHash };
    }
    const { call, options } = this.#options;
    const report = call.building(drvPath);
    const { result } = await this.#store.build({ drvPath, derivation, mode, options }, report, call.signal);
    if (floating && modulo !== null && mode === "normal" && isSuccess(result.status)) {
      for (const [name, path] of result.builtOutputs) await this.#realisations.record(modulo, name, path);
    }
    return { result, derivationHash };
  }

  async #fetch(path: StorePath): Promise<ServedBuild> {
    const { call, substitute } = this.#options;
    if ((await this.#store.lockValidPaths([path])).has(path)) return success("AlreadyValid", new Map());
    if (!substitute) {
      return failure("NoSubstituters", `path '${path}' does not exist and cannot be created`);
    }
    try {
      await this.#store.ensurePath(path, () => undefined, call.signal);
      return success("Substituted", new Map());
    } catch (error) {
      call.signal.throwIfAborted();
      return failure("NoSubstituters", `path '${path}' does not exist and cannot be created: ${messageOf(error)}`);
    }
  }

  /** A build of all outputs counts for any of them: an executor makes them together. */
  #derivation(drvPath: StorePath, outputs: "all" | readonly string[], mode: BuildMode): Promise<ServedBuild> {
    const begun = this.#begun.get(drvPath);
    if (begun !== undefined) return begun;
    const work = this.#make(drvPath, outputs, mode);
    this.#begun.set(drvPath, work);
    return work;
  }

  async #make(drvPath: StorePath, wanted: "all" | readonly string[], mode: BuildMode): Promise<ServedBuild> {
    const { call, keepGoing } = this.#options;
    if (!(await this.#store.lockValidPaths([drvPath])).has(drvPath)) {
      const fetched = await this.#fetch(drvPath);
      if (!isSuccess(fetched.result.status)) return fetched;
    }
    const derivation = this.#realisations.read(drvPath);
    const strangers = wanted === "all" ? [] : wanted.filter((name) => !derivation.outputs.has(name));
    if (strangers.length > 0) {
      return failure("MiscFailure", `derivation '${drvPath}' does not have wanted outputs '${strangers.join(", ")}'`);
    }
    const valid = await this.#validOutputs(derivation, null);
    if (valid !== null && mode === "normal") return success("AlreadyValid", valid);
    if (mode === "normal" && (await this.#substitute(derivation))) {
      return success("Substituted", (await this.#validOutputs(derivation, null)) ?? new Map());
    }

    const inputs = await Promise.all(
      [...derivation.inputDrvs].map(([input, { outputs }]) => this.#derivation(input, [...outputs], "normal")),
    );
    for (const path of derivation.inputSrcs) {
      const source = await this.#fetch(path);
      if (!isSuccess(source.result.status)) return source;
    }
    const failed = inputs.filter(({ result }) => !isSuccess(result.status)).length;
    if (failed > 0)
      return failure("DependencyFailed", `${failed} dependencies of derivation '${drvPath}' failed to build`);

    return this.#turns.take(async () => {
      call.signal.throwIfAborted();
      if (this.#failed && !keepGoing)
        return failure("DependencyFailed", `'${drvPath}' was not built, since another build failed`);
      const build = await this.#buildResolved(drvPath, derivation, mode);
      if (!isSuccess(build.result.status)) this.#failed = true;
      return build;
    });
  }

  async #buildResolved(drvPath: StorePath, derivation: Derivation, mode: BuildMode): Promise<ServedBuild> {
    const known = new Map<StorePath, ReadonlyMap<string, StorePath | null>>();
    for (const input of derivation.inputDrvs.keys()) known.set(input, await this.#realisations.outputsOf(input));
    const resolution = resolveDerivation(
      derivation,
      chainedLookup((path) => known.get(path) ?? null),
    );
    if (resolution.type === "missing") {
      const from = typeof resolution.drvPath === "string" ? resolution.drvPath : "a derivation that is built";
      return failure(
        "MiscFailure",
        `'${drvPath}' needs output '${resolution.outputName}' of ${from}, whose path is not known`,
      );
    }
    const build = await this.buildOne(drvPath, resolution.derivation, mode);
    if (!isSuccess(build.result.status)) return build;
    const open = [...derivation.outputs].filter(([, output]) => !("path" in output));
    if (open.length > 0 && mode === "normal") {
      // The requested derivation has another hash than the resolved one.
      const modulo = this.#realisations.modulo(derivation);
      for (const [name] of open) {
        const path = build.result.builtOutputs.get(name);
        if (path !== undefined) await this.#realisations.record(modulo, name, path);
      }
      return { ...build, derivationHash: modulo.outputs.values().next().value ?? null };
    }
    return build;
  }

  async #substitute(derivation: Derivation): Promise<boolean> {
    const { call, substitute } = this.#options;
    const outputs = [...derivation.outputs.values()];
    if (!substitute || outputs.some((output) => !("path" in output))) return false;
    const paths = outputs.flatMap((output) => ("path" in output ? [output.path] : []));
    try {
      const offered = await this.#store.querySubstitutable(paths, call.signal);
      if (paths.some((path) => !offered.has(path))) return false;
      for (const path of paths) await this.#store.ensurePath(path, () => undefined, call.signal);
      return true;
    } catch {
      call.signal.throwIfAborted();
      return false;
    }
  }

  /** All outputs, when each is known and valid; else null. */
  async #validOutputs(
    derivation: BasicDerivation | Derivation,
    modulo: HashModulo | null,
  ): Promise<ReadonlyMap<string, StorePath> | null> {
    const hash = (): HashModulo =>
      modulo ??
      ("inputDrvs" in derivation
        ? this.#realisations.modulo(derivation)
        : this.#realisations.moduloOfResolved(derivation));
    const outputs = new Map<string, StorePath>();
    for (const [name, path] of await this.#realisations.known(derivation, hash)) {
      if (path === null) return null;
      outputs.set(name, path);
    }
    const valid = await this.#store.lockValidPaths([...outputs.values()]);
    return [...outputs.values()].every((path) => valid.has(path)) ? outputs : null;
  }
}

/** Runs a limited number of tasks at once, the others in order. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function isFixed(derivation: BasicDerivation): boolean {
  return [...derivation.outputs.values()].every((output) => output.type === "fixed");
}

function success(status: BuildStatus, outputs: ReadonlyMap<string, StorePath>): ServedBuild {
  return { result: plain(status, "", outputs), derivationHash: null };
}

function failure(status: BuildStatus, errorMessage: string): ServedBuild {
  return { result: plain(status, errorMessage, new Map()), derivationHash: null };
}

/** A result without a build. */
function plain(status: BuildStatus, errorMessage: string, builtOutputs: ReadonlyMap<string, StorePath>): BuildResult {
  return {
    status,
    errorMessage,
    timesBuilt: 0,
    isNonDeterministic: false,
    startTime: 0,
    stopTime: 0,
    cpuUserMicros: null,
    cpuSystemMicros: null,
    builtOutputs,
  };
}
