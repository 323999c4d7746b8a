// Runs one builder in what this machine offers: prepares its directories and environment, and hands back what it left.
import { spawnSync } from "node:child_process";
import { existsSync, openSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import type { DerivationOptions } from "../../../derivation/options.ts";
import { outputPlaceholder } from "../../../derivation/placeholders.ts";
import { EngineError } from "../../../errors.ts";
import { type ByteString, byteStringOf, textOf } from "../../../formats/byte-string.ts";
import type { StorePath } from "../../../formats/store-path.ts";
import { baseNameOf } from "../../../formats/store-path.ts";
import type { BuildReporter, BuildRequest } from "../../store.ts";
import type { StoreCore } from "../core.ts";
import { searchPath } from "../flock.ts";
import { BuildLog } from "./build-log.ts";
import { type BuildUser, endAllOf, type IdRange, takeBuildUser } from "./build-users.ts";
import { type Capability, fallingBack, ownBuildIds, probeCapability, UNSANDBOXED_NOTICE } from "./capability.ts";
import { makeEnvironment } from "./environment.ts";
import { BuildFailure } from "./failure.ts";
import { fetchUrl } from "./fetchurl.ts";
import { hostMounts, notCovered } from "./host-paths.ts";
import { keepBuildDir } from "./keep.ts";
import { type LogPipe, LogPipes } from "./log-pipe.ts";
import { exportedPaths, type GraphSource, printGraphJson, printGraphText } from "./references-graph.ts";
import { type Rewrites, rewriteText } from "./rewrite.ts";
import { type RunOutcome, run } from "./run.ts";
import { bubblewrapCommand } from "./sandbox-bwrap.ts";
import { chrootCommand, fillChroot, killInside } from "./sandbox-chroot.ts";
import { namesShell, resolveSandboxPaths } from "./sandbox-paths.ts";
import type { SandboxCommand, SandboxPlan, Scratch } from "./sandbox-plan.ts";
import { findSandboxShell, findStaticBusybox, type SandboxShell } from "./sandbox-shell.ts";
import { unshareCommand } from "./sandbox-unshare.ts";
import { makeDirectory, makeEtc, makeScratch, placeInputs, writeBuildFiles } from "./scratch.ts";
import { strayDescriptors } from "./stray-descriptors.ts";
import { Watchdog } from "./watchdog.ts";

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
  /** The user the builder ran as, null when it was this process's; nobody else is it until {@link BuilderLeavings.discard}. */
  readonly uid: number | null;
  /** Moves the build directory to where it stays, and says where that is. */
  keep(): string;
  /** Removes everything else, in the background. */
  discard(): void;
}

/** What is found out once for all builds. */
export interface Surroundings {
  readonly capability: Capability;
  /** The directory builds have theirs in: open to the users builders run as, in one that is not. */
  readonly room: string;
  /** The users builders may run as, null where they run as this process's. */
  readonly ids: IdRange | null;
  readonly shell: SandboxShell | null;
  readonly starter: string | null;
  readonly stray: readonly number[];
  readonly pipes: LogPipes;
  /** `/etc` of builders without network. */
  readonly etc: string;
  /** `setarch -R` works: addresses are the same in each run. */
  readonly setarch: boolean;
}

/** Runs builders for one open store. */
export class Runner {
  readonly #core: StoreCore;
  #surroundings: Promise<Surroundings> | null = null;
  readonly #watchdog = new Watchdog();
  #noticed = false;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * Runs the builder to its end, whatever that is. Aborting the signal kills it and rejects with its reason.
   * @throws BuildFailure for what cannot be run; EngineError of families `build`, `config` and `store`.
   */
  async run(build: BuilderRun): Promise<BuilderLeavings> {
    const work = await this.#core.workDir();
    const surroundings = await this.surroundings();
    const dir = `${surroundings.room}/${basename(work.fresh("build"))}`;
    const builtin = build.request.derivation.builder.startsWith("builtin:");
    let user: BuildUser | null = null;
    try {
      if (surroundings.capability.type === "chroot" && !builtin) this.#warn(build.report);
      if (surroundings.ids !== null && !builtin) user = await takeBuildUser(surroundings.ids);
      const uid = user?.uid ?? null;
      const scratch = makeScratch(dir, surroundings.capability.type === "chroot", uid);
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
          : await this.#runProgram(build, scratch, uid, surroundings, log);
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

  /** What is found out once. Throws `EXECUTOR_NO_SANDBOX` and what keeps builds from running here. */
  surroundings(): Promise<Surroundings> {
    this.#surroundings ??= this.#lookAround();
    return this.#surroundings;
  }

  async #lookAround(): Promise<Surroundings> {
    const { settings } = this.#core;
    const ids = ownBuildIds();
    const capability = fallingBack(
      probeCapability(settings.sandboxProgram, ids?.first ?? null),
      settings.sandboxFallback,
    );
    const work = await this.#core.workDir();
    const room = work.fresh("room");
    makeDirectory(room, 0o755);
    const etc = `${room}/etc`;
    makeEtc(etc, false);
    return {
      capability,
      ids,
      room,
      starter: findStaticBusybox(),
      stray: strayDescriptors(),
      shell: namesShell(settings.sandboxPaths ?? []) ? null : findSandboxShell(),
      pipes: new LogPipes((kind) => work.fresh(kind)),
      etc,
      setarch: canSetarch(),
    };
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
    surroundings: Surroundings,
    log: BuildLog,
  ): Promise<RunOutcome> {
    const { request, report, signal } = build;
    const { capability } = surroundings;
    const pipe = await surroundings.pipes.open();
    const plan = this.#plan(build, scratch, uid, pipe, surroundings);
    const inRoot = capability.type === "chroot";
    const command = wrapped(commandFor(capability, plan), surroundings.setarch, request.derivation.platform);
    if (inRoot) await fillChroot(plan);
    const descriptorOf = (bytes: Uint8Array, name: string): number => {
      const file = `${scratch.dir}/${name}`;
      writeFileSync(file, bytes, { mode: 0o600 });
      return openSync(file, "r");
    };
    // Told before anything runs; a process of this user's own can only be named once it is there.
    const unwatch = uid === null ? () => undefined : this.#watchdog.watch({ type: "user", uid });
    try {
      return await run(
        {
          ...command,
          environment: { PATH: searchPath() },
          descriptors: command.inputs.map((input, index) => descriptorOf(input, `input-${index}`)),
          start: command.start === null ? null : descriptorOf(command.start, "start"),
          strayDescriptors: surroundings.stray,
          pipe,
          ...request.options,
          output: (bytes) => log.write(bytes),
          started: (leader) => {
            report.started();
            // bubblewrap dies with its parent by itself.
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
      // Before anything it left is looked at; the namespaces have ended with the builder.
      if (inRoot && uid !== null) await endAllOf(uid);
      unwatch();
    }
  }

  #plan(
    build: BuilderRun,
    scratch: Scratch,
    uid: number | null,
    pipe: LogPipe,
    surroundings: Surroundings,
  ): SandboxPlan {
    const { layout, database, settings } = this.#core;
    const { derivation } = build.request;
    const types = new Set([...derivation.outputs.values()].map((output) => output.type));
    const network = types.has("fixed") || types.has("impure");
    const rewrites = rewritesFor(build.scratchPaths);
    const { variables, files } = this.#environment(build, rewrites, types.has("fixed"), types.has("impure"));
    writeBuildFiles(scratch, files, uid);

    let etc = surroundings.etc;
    if (network) {
      etc = `${scratch.dir}/etc`;
      makeEtc(etc, true);
    }
    const inputs = placeInputs(layout, scratch, build.inputs);
    const extra = resolveSandboxPaths(layout, settings.sandboxPaths ?? [], (paths) => database.closureOf(paths));
    const outputs = new Set<string>(build.scratchPaths.values());
    const all = new Map([...extra.inputs, ...inputs].map((input) => [input.path, input]));
    const host = hostMounts(build.options.impureHostDeps, settings.allowedImpureHostDeps);
    const shellMounts = notCovered(surroundings.shell?.mounts ?? [], host);
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
      // An output that is rebuilt must not be visible although something in the sandbox needs it (Nix does the same).
      inputs: [...all.values()].filter(({ path }) => !outputs.has(path)),
      mounts,
      network,
      variables,
      builder: commandText(derivation.builder, rewrites),
      args: derivation.args.map((argument) => commandText(argument, rewrites)),
      starter: surroundings.starter,
      uid,
      strayDescriptors: surroundings.stray,
      logPipe: pipe.path,
      busyboxShell: shellMounts.length > 0 && (surroundings.shell?.busybox ?? false),
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

/** The output placeholders and what stands for them (Nix: `inputRewrites`). */
function rewritesFor(scratchPaths: ReadonlyMap<string, StorePath>): Rewrites {
  return new Map([...scratchPaths].map(([name, path]) => [outputPlaceholder(name), byteStringOf(path)]));
}

/** A word of the command line. Node passes UTF-8 only, so what is none cannot be passed. */
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

/** The command without core dumps, with fixed addresses, and as a 32-bit machine where that is asked for (Nix: `runChild`). */
function wrapped(command: SandboxCommand, setarch: boolean, platform: string): SandboxCommand {
  const before = setarch ? ["setarch", ...(platform === "i686-linux" ? ["linux32"] : []), "-R"] : [];
  return {
    ...command,
    program: "/bin/sh",
    args: ["-c", 'umask 022; ulimit -Sc 0; exec "$@"', "sh", ...before, command.program, ...command.args],
  };
}

function canSetarch(): boolean {
  const { status } = spawnSync("setarch", ["-R", "/bin/sh", "-c", ":"], {
    stdio: "ignore",
    env: { PATH: searchPath() },
  });
  return status === 0;
}
