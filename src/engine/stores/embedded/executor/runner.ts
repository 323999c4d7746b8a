// Runs one builder with what this machine offers: prepares its directories and environment, and returns what it left.
import { existsSync, openSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { EngineError } from "../../../base/errors.ts";
import type { DerivationOptions } from "../../../derivation/options.ts";
import { outputPlaceholder } from "../../../derivation/placeholders.ts";
import { type ByteString, byteStringOf, textOf } from "../../../formats/byte-string.ts";
import { baseNameOf, type StorePath } from "../../../formats/store-path.ts";
import type { BuildReporter, BuildRequest } from "../../store.ts";
import type { StoreCore } from "../core.ts";
import { searchPath } from "../files/flock.ts";
import { makeEnvironment } from "./environment.ts";
import { BuildFailure } from "./failure.ts";
import { fetchUrl } from "./fetchurl.ts";
import { lookAround, type Offered } from "./offered.ts";
import { keepBuildDir } from "./outputs/keep.ts";
import { exportedPaths, type GraphSource, printGraphJson, printGraphText } from "./outputs/references-graph.ts";
import { type Rewrites, rewriteText } from "./outputs/rewrite.ts";
import { BuildLog } from "./process/build-log.ts";
import { type BuildUser, endAllOf, takeBuildUser } from "./process/build-users.ts";
import type { LogPipe } from "./process/log-pipe.ts";
import { type RunOutcome, run } from "./process/run.ts";
import { Watchdog } from "./process/watchdog.ts";
import { type Capability, UNSANDBOXED_NOTICE } from "./sandbox/capability.ts";
import { hostMounts, notCovered } from "./sandbox/host-paths.ts";
import { bubblewrapCommand } from "./sandbox/sandbox-bwrap.ts";
import { chrootCommand, fillChroot, killInside } from "./sandbox/sandbox-chroot.ts";
import { resolveSandboxPaths } from "./sandbox/sandbox-paths.ts";
import type { SandboxCommand, SandboxPlan, Scratch } from "./sandbox/sandbox-plan.ts";
import { unshareCommand } from "./sandbox/sandbox-unshare.ts";
import { makeEtc, makeScratch, placeInputs, writeBuildFiles } from "./scratch.ts";

/** One run. */
export interface BuilderRun {
  readonly request: BuildRequest;
  readonly options: DerivationOptions;
  /** The closure of the inputs. */
  readonly inputs: ReadonlySet<StorePath>;
  /** Output name → path to write to. */
  readonly scratchPaths: ReadonlyMap<string, StorePath>;
  readonly report: BuildReporter;
  readonly signal: AbortSignal;
}

/** What a builder left. */
export interface BuilderLeavings {
  readonly outcome: RunOutcome;
  /** The directory that was `/nix/store`. */
  readonly store: string;
  /** The user the builder ran as, null for this process's user; reserved until {@link BuilderLeavings.discard}. */
  readonly uid: number | null;
  /** Moves the build directory to its final place, and returns that. */
  keep(): string;
  /** Removes everything else, in the background. */
  discard(): void;
}

/** Runs builders for one open store. */
export class Runner {
  readonly #core: StoreCore;
  #offered: Promise<Offered> | null = null;
  readonly #watchdog = new Watchdog();
  #noticed = false;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * Runs the builder to its end, successful or not. Aborting the signal kills it and rejects with its reason.
   * @throws BuildFailure for what cannot be run; EngineError of families `build`, `config` and `store`.
   */
  async run(build: BuilderRun): Promise<BuilderLeavings> {
    const work = await this.#core.workDir();
    const offered = await this.offered();
    const dir = `${offered.room}/${basename(work.fresh("build"))}`;
    const builtin = build.request.derivation.builder.startsWith("builtin:");
    let user: BuildUser | null = null;
    try {
      if (offered.capability.type === "chroot" && !builtin) this.#warn(build.report);
      if (offered.ids !== null && !builtin) user = await takeBuildUser(offered.ids);
      const uid = user?.uid ?? null;
      const scratch = makeScratch(dir, offered.capability.type === "chroot", uid);
      const log = new BuildLog(
        this.#core.layout,
        build.request.drvPath,
        build.report,
        this.#core.settings.keepBuildLog,
      );
      let outcome: RunOutcome;
      try {
        outcome = builtin
          ? await this.#runBuiltin(build, scratch, log)
          : await this.#runProgram(build, scratch, uid, offered, log);
      } finally {
        log.close();
      }
      return {
        outcome,
        store: scratch.store,
        uid,
        keep: () => keepBuildDir(this.#core.layout, build.request.derivation.name, scratch.build),
        discard: () => {
          work.discard(dir);
          user?.release();
        },
      };
    } catch (error) {
      user?.release();
      work.discard(dir);
      throw error;
    }
  }

  /** What is determined once. Throws `EXECUTOR_NO_SANDBOX` and other reasons why builds cannot run here. */
  offered(): Promise<Offered> {
    this.#offered ??= lookAround(this.#core);
    return this.#offered;
  }

  #warn(report: BuildReporter): void {
    if (this.#noticed) return;
    this.#noticed = true;
    report.noticed(UNSANDBOXED_NOTICE);
  }

  async #runProgram(
    build: BuilderRun,
    scratch: Scratch,
    uid: number | null,
    offered: Offered,
    log: BuildLog,
  ): Promise<RunOutcome> {
    const { request, report, signal } = build;
    const { capability } = offered;
    const pipe = await offered.pipes.open();
    const plan = this.#plan(build, scratch, uid, pipe, offered);
    const inRoot = capability.type === "chroot";
    const command = wrapped(commandFor(capability, plan), offered.setarch, request.derivation.platform);
    if (inRoot) await fillChroot(plan);
    const descriptorOf = (bytes: Uint8Array, name: string): number => {
      const file = `${scratch.dir}/${name}`;
      writeFileSync(file, bytes, { mode: 0o600 });
      return openSync(file, "r");
    };
    // Registered before anything runs; a process of this user can only be registered once it exists.
    const unwatch = uid === null ? () => undefined : this.#watchdog.watch({ type: "user", uid });
    try {
      return await run(
        {
          ...command,
          environment: { PATH: searchPath() },
          descriptors: command.inputs.map((input, index) => descriptorOf(input, `input-${index}`)),
          start: command.start === null ? null : descriptorOf(command.start, "start"),
          strayDescriptors: offered.stray,
          pipe,
          ...request.options,
          output: (bytes) => log.write(bytes),
          started: (leader) => {
            report.started();
            // bubblewrap already dies with its parent.
            const dies = uid !== null || capability.type === "bwrap";
            return dies ? () => undefined : this.#watchdog.watch({ type: "group", leader });
          },
          killRest: () => {
            if (inRoot) killInside(scratch.root);
          },
        },
        this.#core.clock,
        signal,
      );
    } finally {
      // Before its files are examined; in the other sandboxes the namespaces have ended with the builder.
      if (inRoot && uid !== null) await endAllOf(uid);
      unwatch();
    }
  }

  #plan(build: BuilderRun, scratch: Scratch, uid: number | null, pipe: LogPipe, offered: Offered): SandboxPlan {
    const { layout, database, settings } = this.#core;
    const { derivation } = build.request;
    const types = new Set([...derivation.outputs.values()].map((output) => output.type));
    const network = types.has("fixed") || types.has("impure");
    const rewrites = rewritesFor(build.scratchPaths);
    const { variables, files } = this.#environment(build, rewrites, types.has("fixed"), types.has("impure"));
    writeBuildFiles(scratch, files, uid);

    let etc = offered.etc;
    if (network) {
      etc = `${scratch.dir}/etc`;
      makeEtc(etc, true);
    }
    const inputs = placeInputs(layout, scratch, build.inputs);
    const extra = resolveSandboxPaths(layout, settings.sandboxPaths ?? [], (paths) => database.closureOf(paths));
    const outputs = new Set<string>(build.scratchPaths.values());
    const all = new Map([...extra.inputs, ...inputs].map((input) => [input.path, input]));
    const host = hostMounts(build.options.impureHostDeps, settings.allowedImpureHostDeps);
    const shellMounts = notCovered(offered.shell?.mounts ?? [], host);
    const mounts = [...host, ...shellMounts, ...extra.mounts];
    if (settings.systemFeatures.includes("kvm") && existsSync("/dev/kvm")) {
      mounts.push({ target: "/dev/kvm", source: "/dev/kvm", writable: true });
    }
    if (network && settings.certificateFile !== null) {
      mounts.push({ target: "/etc/ssl/certs/ca-certificates.crt", source: settings.certificateFile, writable: false });
      writeFileSync(`${etc}/ssl/certs/ca-certificates.crt`, "");
    }
    return {
      scratch,
      etc,
      // An output being rebuilt must not be visible, even if something in the sandbox refers to it (as in Nix).
      inputs: [...all.values()].filter(({ path }) => !outputs.has(path)),
      mounts,
      network,
      variables,
      builder: commandText(derivation.builder, rewrites),
      args: derivation.args.map((argument) => commandText(argument, rewrites)),
      starter: offered.starter,
      uid,
      strayDescriptors: offered.stray,
      logPipe: pipe.path,
      busyboxShell: shellMounts.length > 0 && (offered.shell?.busybox ?? false),
      shmSize: settings.shmSize,
      maxProcesses: settings.maxProcesses,
    };
  }

  #environment(
    build: BuilderRun,
    rewrites: Rewrites,
    fixed: boolean,
    impure: boolean,
  ): ReturnType<typeof makeEnvironment> {
    const { database, settings } = this.#core;
    const { options, request, inputs } = build;
    const source: GraphSource = {
      find: (path) => database.find(path)?.info ?? null,
      closureOf: (paths) => database.closureOf(paths),
      outputsOf: (drvPath) => database.derivationOutputsOf(drvPath).values(),
    };
    const structured = options.structuredAttrs !== null;
    const graphs = new Map<string, string>();
    for (const [name, exported] of options.exportReferencesGraph) {
      const paths = exportedPaths(source, exported, inputs);
      graphs.set(name, structured ? printGraphJson(source, paths) : printGraphText(source, paths));
    }
    const cores = request.options.cores ?? settings.cores;
    const environment = makeEnvironment({
      derivation: request.derivation,
      options,
      cores: cores === 0 ? availableParallelism() : cores,
      fixed,
      impure,
      hostEnvironment: settings.environment,
      outputs: build.scratchPaths,
      graphs: structured ? graphs : new Map(),
      rewrites,
    });
    if (structured) return environment;
    const files = new Map(environment.files);
    for (const [name, text] of graphs) files.set(name, byteStringOf(text));
    return { ...environment, files };
  }

  async #runBuiltin(build: BuilderRun, scratch: Scratch, log: BuildLog): Promise<RunOutcome> {
    const { derivation } = build.request;
    const name = textOf(derivation.builder);
    const say = (line: string): void => log.write(Buffer.from(`${line}\n`));
    build.report.started();
    if (name !== "builtin:fetchurl") {
      say(`error: unsupported builtin builder '${name.slice("builtin:".length)}'`);
      return { type: "exited", code: 1 };
    }
    const { clock, settings } = this.#core;
    const limit = new AbortController();
    const { timeout } = build.request.options;
    const cancel = timeout > 0 ? clock.after(timeout * 1000, () => limit.abort()) : () => undefined;
    try {
      const out = build.scratchPaths.get("out");
      if (out === undefined) throw new EngineError("build", "FETCHURL_FAILED", "output 'out' missing");
      const context = {
        target: `${scratch.store}/${baseNameOf(out)}`,
        hashedMirrors: settings.hashedMirrors,
        sandboxPaths: settings.sandboxPaths ?? [],
        environment: settings.environment,
        log: say,
        pause: (milliseconds: number) => new Promise<void>((resolve) => clock.after(milliseconds, resolve)),
      };
      await fetchUrl(derivation, context, AbortSignal.any([build.signal, limit.signal]));
      return { type: "exited", code: 0 };
    } catch (error) {
      if (build.signal.aborted) throw build.signal.reason;
      if (limit.signal.aborted) return { type: "timedOut" };
      if (error instanceof EngineError && error.code === "FETCHURL_FAILED") return { type: "exited", code: 1 };
      throw error;
    } finally {
      cancel();
    }
  }
}

/** The output placeholders and their replacements (Nix: `inputRewrites`). */
function rewritesFor(scratchPaths: ReadonlyMap<string, StorePath>): Rewrites {
  return new Map([...scratchPaths].map(([name, path]) => [outputPlaceholder(name), byteStringOf(path)]));
}

/** A word of the command line. Node passes only UTF-8, so anything else cannot be passed. */
function commandText(word: ByteString, rewrites: Rewrites): string {
  const rewritten = rewriteText(word, rewrites);
  const text = textOf(rewritten);
  if (byteStringOf(text) === rewritten) return text;
  throw new BuildFailure(
    "MiscFailure",
    `the builder's argument '${text}' is not valid UTF-8, which this executor cannot pass`,
  );
}

function commandFor(capability: Capability, plan: SandboxPlan): SandboxCommand {
  switch (capability.type) {
    case "bwrap":
      return bubblewrapCommand(capability.bubblewrap, plan);
    case "unshare":
      return unshareCommand(plan);
    case "chroot":
      return chrootCommand(plan, capability.nsenter);
  }
}

/** The command without core dumps, with fixed addresses, and as a 32-bit machine if requested (Nix: `runChild`). */
function wrapped(command: SandboxCommand, setarch: boolean, platform: string): SandboxCommand {
  const before = setarch ? ["setarch", ...(platform === "i686-linux" ? ["linux32"] : []), "-R"] : [];
  return {
    ...command,
    program: "/bin/sh",
    args: ["-c", 'umask 022; ulimit -Sc 0; exec "$@"', "sh", ...before, command.program, ...command.args],
  };
}
