// Builds derivations on this machine: one build from its locks to its registered outputs (Nix: DerivationGoal, LocalDerivationGoal).
import { statfsSync } from "node:fs";
import { EngineError, messageOf, withHint } from "../../../base/errors.ts";
import type { BuildResult } from "../../../derivation/build-result.ts";
import type { BasicDerivation } from "../../../derivation/derivation.ts";
import { type DerivationOptions, parseDerivationOptions } from "../../../derivation/options.ts";
import type { PathInfo } from "../../../formats/path-info.ts";
import type { StorePath } from "../../../formats/store-path.ts";
import type { BuildAnswer, BuildReporter, BuildRequest } from "../../store.ts";
import type { StoreCore } from "../core.ts";
import { hashPath } from "../files/dump.ts";
import { lockPaths } from "../files/path-locks.ts";
import { realPathOf } from "../layout.ts";
import { BuildFailure, failureOf } from "./failure.ts";
import { compareOutputs, installOutputs } from "./outputs/install.ts";
import { outputFault } from "./outputs/output-checks.ts";
import { examineOutputs, scratchPathOf } from "./outputs/outputs.ts";
import { Runner } from "./runner.ts";

/** With less free space (bytes) than this on the store's disk, a failure may be the disk's (Nix: 8 MiB). */
const DISK_FULL = 8 * 1024 * 1024;

/** What is known about an output before the build. */
interface KnownOutput {
  readonly path: StorePath | null;
  readonly valid: boolean;
}

/** The builds of one open store; any number may run at once. */
export class Executor {
  readonly #core: StoreCore;
  readonly #runner: Runner;

  constructor(core: StoreCore) {
    this.#core = core;
    this.#runner = new Runner(core);
  }

  /** How builders are sandboxed here. Throws `EXECUTOR_NO_SANDBOX`. */
  async sandboxKind(): Promise<"bwrap" | "unshare" | "chroot"> {
    return (await this.#runner.offered()).capability.type;
  }

  /** See {@link BuildStore.build}. Rejects only when the signal aborts it or the store itself is broken. */
  async build(request: BuildRequest, report: BuildReporter, signal: AbortSignal): Promise<BuildAnswer> {
    signal.throwIfAborted();
    const startTime = this.#seconds();
    try {
      const { status, outputs } = await this.#build(request, report, signal);
      const builtOutputs = new Map([...outputs].map(([name, info]) => [name, info.path]));
      const timesBuilt = status === "Built" ? 1 : 0;
      return { result: { ...this.#result(startTime), status, timesBuilt, builtOutputs }, outputs };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const result = { ...this.#result(startTime), ...described(error) };
      return { result: { ...result, isNonDeterministic: result.status === "NotDeterministic" }, outputs: new Map() };
    }
  }

  async #build(
    request: BuildRequest,
    report: BuildReporter,
    signal: AbortSignal,
  ): Promise<{ readonly status: "Built" | "AlreadyValid"; readonly outputs: ReadonlyMap<string, PathInfo> }> {
    const core = this.#core;
    const { derivation, drvPath, mode } = request;
    const options = parseDerivationOptions(derivation);
    this.#demandMachine(request, options);
    const stated = new Map(
      [...derivation.outputs].map(([name, output]) => [name, "path" in output ? output.path : null]),
    );
    await core.tempRoots.add([
      drvPath,
      ...derivation.inputSrcs,
      ...[...stated.values()].filter((path) => path !== null),
    ]);
    const inputs = this.#inputsOf(request);

    const locked = [...stated].map(
      ([name, path]) => realPathOf(core.layout, path ?? drvPath) + (path === null ? `.${name}` : ""),
    );
    const onWait = (): void => report.noticed(`waiting for lock on '${drvPath}'`);
    const locks = await lockPaths(locked, { onWait, signal });
    let valid = false;
    try {
      const known = await this.#known(stated, mode);
      const allValid = [...known.values()].every((output) => output.valid);
      if (allValid && mode !== "check") {
        valid = true;
        return { status: "AlreadyValid", outputs: this.#infos(known) };
      }
      if (!allValid && mode === "check") {
        throw new BuildFailure(
          "MiscFailure",
          `some outputs of '${drvPath}' are not valid, so checking is not possible`,
        );
      }
      const outputs = await this.#make(request, options, inputs, known, report, signal);
      valid = true;
      return { status: "Built", outputs };
    } finally {
      locks.release(valid);
    }
  }

  /** Runs the builder, then installs or compares its outputs. */
  async #make(
    request: BuildRequest,
    options: DerivationOptions,
    inputs: ReadonlySet<StorePath>,
    known: ReadonlyMap<string, KnownOutput>,
    report: BuildReporter,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, PathInfo>> {
    const core = this.#core;
    const { derivation, drvPath, mode } = request;
    const work = await core.workDir();
    const scratchPaths = new Map(
      [...known].map(([name, { path }]) => [name, path ?? scratchPathOf(drvPath, derivation.name, name)]),
    );
    const wanted = new Set([...known].filter(([, output]) => mode === "check" || !output.valid).map(([name]) => name));
    const build = await this.#runner.run({ request, options, inputs, scratchPaths, report, signal });
    let failed = true;
    try {
      const failure = failureOf(build.outcome, {
        drvPath,
        transient: isOpen(derivation),
        diskFull: this.#diskFull(),
        ...request.options,
      });
      if (failure !== null) throw failure;
      const discard = (path: string): void => work.discard(path);
      const fresh = (kind: string): string => work.fresh(kind);
      const made = await examineOutputs({
        drvPath,
        derivation,
        options,
        store: build.store,
        scratchPaths,
        wanted,
        inputs,
        owner: build.uid === null ? null : { uid: build.uid, seen: new Set() },
        copied: isOpen(derivation) && !derivation.builder.startsWith("builtin:"),
        fresh,
        discard,
      });
      signal.throwIfAborted();
      if (mode === "check") {
        await compareOutputs(core, request, made);
        failed = false;
        return this.#infos(known);
      }
      const find = (path: StorePath): PathInfo | null => core.database.find(path)?.info ?? null;
      const fault = outputFault(options, new Map(made.map(({ name, info }) => [name, info])), find);
      if (fault !== null) throw new BuildFailure("OutputRejected", fault);
      const locked = new Set([...known.values()].flatMap(({ path }) => path ?? []));
      const lie = made.find((output) => output.fault !== null);
      // As in Nix, an output of a builder is kept under its actual hash; a download from a foreign server is not.
      if (lie !== undefined && derivation.builder.startsWith("builtin:"))
        throw new BuildFailure("OutputRejected", lie.fault!);
      const installed = await installOutputs(core, made, locked);
      if (lie !== undefined) throw new BuildFailure("OutputRejected", lie.fault!);
      failed = false;
      return new Map([...this.#infos(known), ...installed]);
    } finally {
      // A comparison that finds a difference also counts as failed: its build directory shows why.
      if (failed && request.options.keepFailed && !signal.aborted)
        report.noticed(`note: keeping build directory '${build.keep()}'`);
      build.discard();
    }
  }

  #demandMachine({ derivation, drvPath }: BuildRequest, options: DerivationOptions): void {
    const { system, extraPlatforms, systemFeatures } = this.#core.settings;
    const builtin = derivation.builder.startsWith("builtin:");
    const rightSystem = builtin || derivation.platform === system || extraPlatforms.includes(derivation.platform);
    // This store always builds content-addressed derivations.
    const features = [...systemFeatures, "ca-derivations"];
    if (rightSystem && options.requiredSystemFeatures.every((feature) => features.includes(feature))) return;
    throw new BuildFailure(
      "MiscFailure",
      `a '${derivation.platform}' with features {${options.requiredSystemFeatures.join(", ")}} is required to build '${drvPath}', ` +
        `but I am a '${system}' with features {${systemFeatures.join(", ")}}`,
    );
  }

  #inputsOf({ derivation, drvPath }: BuildRequest): ReadonlySet<StorePath> {
    const { database } = this.#core;
    for (const path of derivation.inputSrcs) {
      if (database.isValid(path)) continue;
      throw new BuildFailure(
        "MiscFailure",
        `dependency '${path}' of '${drvPath}' does not exist, and substitution is disabled`,
      );
    }
    return database.closureOf(derivation.inputSrcs);
  }

  /** Which outputs are valid; a repair counts damaged ones as not valid. */
  async #known(
    stated: ReadonlyMap<string, StorePath | null>,
    mode: BuildRequest["mode"],
  ): Promise<Map<string, KnownOutput>> {
    const { database, layout } = this.#core;
    const known = new Map<string, KnownOutput>();
    for (const [name, path] of stated) {
      const info = path === null ? null : (database.find(path)?.info ?? null);
      let valid = info !== null;
      if (info !== null && mode === "repair") valid = await isWhole(realPathOf(layout, info.path), info);
      known.set(name, { path, valid });
    }
    return known;
  }

  #infos(known: ReadonlyMap<string, KnownOutput>): Map<string, PathInfo> {
    const infos = new Map<string, PathInfo>();
    for (const [name, { path }] of known) {
      const info = path === null ? undefined : this.#core.database.find(path)?.info;
      if (info !== undefined) infos.set(name, info);
    }
    return infos;
  }

  #diskFull(): boolean {
    const { bavail, bsize } = statfsSync(this.#core.layout.storeDir);
    return bavail * bsize < DISK_FULL;
  }

  #seconds(): number {
    return Math.floor(this.#core.clock.wallTime() / 1000);
  }

  #result(startTime: number): Omit<BuildResult, "status"> {
    return {
      errorMessage: "",
      timesBuilt: 0,
      isNonDeterministic: false,
      startTime,
      stopTime: this.#seconds(),
      cpuUserMicros: null,
      cpuSystemMicros: null,
      builtOutputs: new Map(),
    };
  }
}

/** Whether the builder may use the network: its output is checked by its hash, or declared impure. */
export function isOpen(derivation: BasicDerivation): boolean {
  return [...derivation.outputs.values()].some((output) => output.type === "fixed" || output.type === "impure");
}

async function isWhole(real: string, info: PathInfo): Promise<boolean> {
  try {
    return Buffer.compare((await hashPath(real)).narHash, info.narHash) === 0;
  } catch {
    return false;
  }
}

function described(error: unknown): Pick<BuildResult, "status" | "errorMessage"> {
  if (error instanceof BuildFailure) return { status: error.status, errorMessage: error.message };
  if (!(error instanceof EngineError)) throw error;
  // There may be space again next time.
  const status = error.code === "STORE_NO_SPACE" ? "TransientFailure" : "MiscFailure";
  return { status, errorMessage: withHint(messageOf(error), error.hint, "\n") };
}
