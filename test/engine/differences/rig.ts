// What the system tests of rounds need: a client with a daemon's store, builders of every generation over SSH, derivations on both.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/engine/base/clock.ts";
import { parseStoreReference, type SshReference } from "../../../src/engine/config/store-reference.ts";
import type { BuildStatus } from "../../../src/engine/derivation/build-result.ts";
import type { BasicDerivation } from "../../../src/engine/derivation/derivation.ts";
import { parseDerivation } from "../../../src/engine/derivation/parse.ts";
import { nixDiffHook } from "../../../src/engine/differences/explain/diffoscope.ts";
import type { DiffHookSettings } from "../../../src/engine/differences/hook/diff-hook.ts";
import type { ResultMachine } from "../../../src/engine/differences/keep/other-result.ts";
import type { ComparedBuild, FoundDifference } from "../../../src/engine/differences/perform/found.ts";
import { Differences, type SecuredDifference } from "../../../src/engine/differences/perform/runner.ts";
import type { EngineEvent } from "../../../src/engine/events/event.ts";
import type { GoalId, MachineId } from "../../../src/engine/events/ids.ts";
import type { PathInfo } from "../../../src/engine/formats/path-info.ts";
import { derivationNameOf, parseStorePath, type StorePath } from "../../../src/engine/formats/store-path.ts";
import { copyPaths } from "../../../src/engine/stores/copy.ts";
import { openRemote } from "../../../src/engine/stores/open/open-remote.ts";
import { sshCommandPlace } from "../../../src/engine/stores/open/places.ts";
import { PathInfos } from "../../../src/engine/stores/path-infos.ts";
import { queryOptions } from "../../../src/engine/stores/remote/client-options.ts";
import { WorkerStore } from "../../../src/engine/stores/remote/worker-store.ts";
import type {
  BuildAnswer,
  BuildMode,
  BuildOptions,
  BuildReporter,
  MachineStore,
} from "../../../src/engine/stores/store.ts";
import { Transports } from "../../../src/engine/transports/open.ts";
import type { SshSettings } from "../../../src/engine/transports/ssh/config/ssh-settings.ts";
import type { TransportOpener } from "../../../src/engine/transports/transport.ts";
import { type Builder, type BuilderSpec, type Fleet, startBuilders } from "../../support/builders.ts";
import type { NixGeneration } from "../../support/nix-generations.ts";
import { createInstance, type NixInstance } from "../../support/nix-instance.ts";
import { standInNixpkgs } from "../../support/nixpkgs.ts";

export const never: AbortSignal = new AbortController().signal;
export const silent: BuildReporter = { started: () => {}, phase: () => {}, logged: () => {}, noticed: () => {} };
export const buildOptions: BuildOptions = {
  keepFailed: false,
  maxSilentTime: 0,
  timeout: 60,
  maxLogSize: 0n,
  cores: 1,
  keepCheck: true,
};
const straight = (opener: TransportOpener): TransportOpener => opener;

/** Secures differences, then explains them, one after the other, as a run does. Returns Nix's words for each. */
export async function recordAll(
  differences: Differences,
  found: readonly FoundDifference[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const secured: SecuredDifference[] = [];
  for (const difference of found) secured.push(await differences.secure(difference, signal));
  for (const difference of secured) await differences.explain(difference, signal);
  return secured.map(({ message }) => message);
}

/** A builder with an open store. */
export interface RigBuilder {
  readonly builder: Builder;
  readonly id: MachineId;
  readonly reference: SshReference;
  readonly store: MachineStore;
  readonly machine: ResultMachine;
}

/** A derivation without inputs to build first, whose sources are valid on the client. */
export interface RigDerivation {
  readonly drvPath: StorePath;
  readonly derivation: BasicDerivation;
  readonly paths: ReadonlyMap<string, StorePath>;
}

/** Everything of one test file. */
export class Rig {
  readonly client: NixInstance;
  readonly fleet: Fleet;
  readonly store: WorkerStore;
  readonly infos: PathInfos;
  readonly transports: Transports;
  readonly sshSettings: SshSettings;
  readonly builders: RigBuilder[] = [];
  readonly #nixpkgs: string;
  #made = 0;

  private constructor(client: NixInstance, fleet: Fleet, socket: string, nixpkgs: string) {
    this.client = client;
    this.fleet = fleet;
    this.#nixpkgs = nixpkgs;
    this.transports = new Transports({
      clock: systemClock,
      environment: { ...process.env, HOME: fleet.home },
      notice: () => {},
    });
    this.sshSettings = { configFile: fleet.sshConfig, options: [] };
    this.store = new WorkerStore({
      uri: "client",
      opener: this.transports.opener({ type: "unixSocket", path: socket }),
      clock: systemClock,
      maxBuilds: 2,
      explain: async (error) => error,
      queryOptions: queryOptions(false, false, new Map()),
      machineCores: async () => 1,
      buildOverrides: new Map(),
      readDirectly: null,
    });
    this.infos = new PathInfos(this.store);
  }

  static async start(generation: NixGeneration, specs: readonly BuilderSpec[]): Promise<Rig> {
    const client = await createInstance(generation, { name: "client" });
    const daemon = await client.startDaemon();
    const rig = new Rig(client, await startBuilders(specs), daemon.socketPath, await standInNixpkgs());
    for (const builder of rig.fleet.builders) rig.builders.push(await rig.#open(builder));
    return rig;
  }

  async stop(): Promise<void> {
    for (const { store } of this.builders) await store.close();
    await this.store.close();
    this.transports.close();
    await this.fleet.stop();
    await this.client.remove();
  }

  /** Instantiates `runCommand` on the client; another derivation for each call. */
  async derivation(script: string, outputs: readonly string[] = ["out"]): Promise<RigDerivation> {
    const list = outputs.map((output) => `"${output}"`).join(" ");
    const expression = `with import <nixpkgs> {}; runCommand "r${++this.#made}" { outputs = [ ${list} ]; } ''${script}''`;
    const env = { NIX_PATH: `nixpkgs=${this.#nixpkgs}` };
    const drvPath = parseStorePath(await this.client.output("nix-instantiate", ["-E", expression], { env }));
    const { inputDrvs, ...derivation } = parseDerivation(
      readFileSync(this.client.hostPath(drvPath)),
      derivationNameOf(drvPath),
    );
    if (inputDrvs.size > 0) throw new Error("expected a derivation without inputs to build");
    const paths = new Map<string, StorePath>();
    for (const [name, output] of derivation.outputs) if ("path" in output) paths.set(name, output.path);
    return { drvPath, derivation, paths };
  }

  /** Builds on a machine, which is given the sources first. */
  async build(on: MachineStore, made: RigDerivation, mode: BuildMode, options = buildOptions): Promise<BuildAnswer> {
    if (on !== this.store) {
      const closure = await this.infos.closure(made.derivation.inputSrcs);
      const valid = await on.queryValidPaths(closure.map(({ path }) => path));
      const paths = closure.filter(({ path }) => !valid.has(path));
      const report = (): void => {};
      await copyPaths({ from: this.store, to: on, paths, checkSignatures: false, report, signal: never });
    }
    return on.build({ drvPath: made.drvPath, derivation: made.derivation, mode, options }, silent, never);
  }

  /** A first build and a check of it, as {@link ComparedBuild}. */
  async check(
    on: RigBuilder,
    made: RigDerivation,
    kind: "check" | "round" = "check",
    staysValid = true,
  ): Promise<{ readonly build: ComparedBuild; readonly message: string; readonly status: BuildStatus }> {
    const first = await this.build(on.store, made, "normal");
    if (first.result.status !== "Built") throw new Error(first.result.errorMessage);
    const { result } = await this.build(on.store, made, "check");
    const build = this.compared(on, made, on, first.outputs, kind, staysValid);
    return { build, message: result.errorMessage, status: result.status };
  }

  compared(
    on: RigBuilder,
    made: RigDerivation,
    first: RigBuilder,
    outputs: ReadonlyMap<string, PathInfo>,
    kind: "check" | "round",
    staysValid: boolean,
  ): ComparedBuild {
    return {
      goal: made.drvPath as string as GoalId,
      drvPath: made.drvPath,
      kind,
      round: 2,
      machine: on.id,
      first: { machine: first.id, store: first.store, outputs, staysValid },
      slotIsReused: false,
    };
  }

  /** A recorder of differences whose results go to the client's store. */
  differences(
    hook: DiffHookSettings | null,
    keepFailed: boolean,
    storeDir: string | null = this.client.hostPath("/nix/store"),
  ) {
    const events: EngineEvent[] = [];
    const differences = new Differences({
      clock: systemClock,
      publish: (event) => events.push(event),
      keepFailed,
      hook,
      places: {
        storeDir,
        ownDir: join(this.client.directory, "kept"),
        protect: (path) => this.store.addTempRoots([path]),
      },
      onDisk: (path) => this.client.hostPath(path),
      hostName: (machine) => machine,
    });
    const of = <Type extends EngineEvent["type"]>(type: Type) =>
      events.filter((event): event is Extract<EngineEvent, { type: Type }> => event.type === type);
    return { differences, events, of };
  }

  async #open(builder: Builder): Promise<RigBuilder> {
    const { reference } = parseStoreReference(builder.uri, { cwd: "/", home: this.fleet.home });
    if (reference.type !== "ssh") throw new Error(`expected an SSH store, found ${builder.uri}`);
    const { transports, sshSettings } = this;
    const { store, description } = await openRemote(
      { reference, transports, sshSettings, clock: systemClock, maxBuilds: 2, useSubstitutes: false, wrap: straight },
      never,
    );
    const command = (line: string): TransportOpener => transports.opener(sshCommandPlace(reference, line, sshSettings));
    const machine = { store, nixVersion: description.nixVersion, command, nixStore: "nix-store" };
    return { builder, id: builder.alias as MachineId, reference, store, machine };
  }
}

/** A hook program in the rig's folder. */
export function hookSettings(file: string, more: Partial<DiffHookSettings> = {}): DiffHookSettings {
  return {
    program: nixDiffHook(file),
    timeoutMs: 20_000,
    env: { PATH: "/usr/bin:/bin", COLOUR: "blue" },
    user: null,
    clock: systemClock,
    ...more,
  };
}
