// The machines of a run: the list's and this one, as the plan, the board and the connections need them.
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { LoadedConfig } from "../config/load.ts";
import { type Machine, machineNames } from "../config/machine.ts";
import { printStoreReference, runsWithoutSsh } from "../config/store-reference.ts";
import { openLocalScratch, openSshScratch } from "../differences/keep/scratch-store.ts";
import { LOCAL_MACHINE, type MachineId } from "../events/ids.ts";
import type { ConnectedMachine } from "../scheduler/perform/live-machines.ts";
import { type MachineAccess, MachineSession } from "../scheduler/perform/machine-session.ts";
import type { MachineSpec } from "../scheduler/plan/fact.ts";
import { freeSpaceHere, freeSpaceThere } from "../stores/free-space.ts";
import { findProgram, type OpenedDestination } from "../stores/open/open-destination.ts";
import { type OpenedRemote, openRemote } from "../stores/open/open-remote.ts";
import { sshCommandPlace } from "../stores/open/places.ts";
import type { Transports } from "../transports/open.ts";
import type { SshSettings } from "../transports/ssh/config/ssh-settings.ts";
import type { TransportOpener } from "../transports/transport.ts";

/** One machine of the run. */
export interface RunMachine {
  readonly spec: MachineSpec;
  /** Null for this machine. */
  readonly listed: Machine | null;
}

/** This machine first, then the list's in order; machines with no slots are kept for the board. */
export function runMachines(config: LoadedConfig, listed: readonly Machine[], cores: number): RunMachine[] {
  const { settings } = config;
  const names = machineNames(listed, [LOCAL_MACHINE]);
  const slots = settings.maxJobs === "auto" ? cores : settings.maxJobs;
  const local: MachineSpec = {
    machine: LOCAL_MACHINE,
    uri: "local",
    isLocal: true,
    systems: [settings.system, ...settings.extraPlatforms, "builtin"],
    slots,
    speedFactor: 1,
    supportedFeatures: [...settings.systemFeatures],
    mandatoryFeatures: [],
    buildCores: settings.cores,
    cores,
  };
  const remote = listed.map(
    (machine, index): RunMachine => ({
      listed: machine,
      spec: {
        machine: names[index] as MachineId,
        uri: printStoreReference(machine.store),
        isLocal: false,
        systems: [...machine.systems, "builtin"],
        slots: machine.maxJobs,
        speedFactor: machine.speedFactor,
        supportedFeatures: [...machine.supportedFeatures],
        mandatoryFeatures: [...machine.mandatoryFeatures],
        buildCores: settings.cores,
        cores: null,
      },
    }),
  );
  return [{ spec: local, listed: null }, ...remote];
}

export interface ConnectorOptions {
  readonly config: LoadedConfig;
  readonly machines: readonly RunMachine[];
  /** Known by the time the first machine is connected. */
  readonly destination: Promise<OpenedDestination>;
  readonly transports: Transports;
  readonly sshSettings: SshSettings;
  readonly clock: Clock;
  readonly wrap: (opener: TransportOpener) => TransportOpener;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Connects machines; a connection begun ahead is used by the first to ask for that machine. */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #ahead = new Map<MachineId, Promise<OpenedRemote>>();

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** Begins to connect all machines that may build. Failures are met again, and reported, when the machine is asked for. */
  connectAhead(signal: AbortSignal): void {
    for (const machine of this.#options.machines) {
      if (machine.listed === null || machine.spec.slots === 0) continue;
      const opening = this.#open(machine.listed, signal);
      // The first build's connection and what it must know of the machine are had in the same time.
      opening.then(async ({ store, settings }) => Promise.all([store.warmUp(1), settings()])).catch(() => undefined);
      this.#ahead.set(machine.spec.machine, opening);
    }
  }

  /** @throws EngineError; see `isPermanentFailure` for those that stay */
  async connect(id: MachineId, signal: AbortSignal): Promise<ConnectedMachine> {
    const machine = this.#options.machines.find((candidate) => candidate.spec.machine === id);
    if (machine === undefined) throw new EngineError("internal", "MACHINE_UNKNOWN", `there is no machine '${id}'`);
    const { settings } = this.#options.config;
    if (machine.listed === null) {
      const { store, description, root } = await this.#options.destination;
      const freeBytes = () => freeSpaceHere(join(root ?? "/", "nix/store"));
      const { trusted, nixVersion, protocol } = description;
      const session = new MachineSession({
        machine: id,
        store,
        isDestination: true,
        trusted,
        buildersUseSubstitutes: false,
        access: { nixVersion, protocol, command: null, freeBytes, openScratch: await this.#localScratch() },
      });
      return { session, nixVersion, protocol };
    }
    const ahead = this.#ahead.get(id);
    this.#ahead.delete(id);
    const { store, description } = await (ahead ?? this.#open(machine.listed, signal));
    const { trusted, nixVersion, protocol } = description;
    const session = new MachineSession({
      machine: id,
      store,
      isDestination: false,
      trusted,
      buildersUseSubstitutes: settings.buildersUseSubstitutes,
      access: { nixVersion, protocol, ...this.#commands(id, machine, protocol) },
    });
    return { session, nixVersion, protocol };
  }

  /** Runs a shell command on a machine; null where the machine is reached otherwise than by SSH. */
  commandOpener(id: MachineId, command: string): TransportOpener | null {
    const reference = this.#options.machines.find(({ spec }) => spec.machine === id)?.listed?.store;
    if (reference === undefined || runsWithoutSsh(reference.destination)) return null;
    const { transports, sshSettings, wrap } = this.#options;
    return wrap(transports.opener(sshCommandPlace(reference, command, sshSettings)));
  }

  /** What can be run on a machine beside its store: nothing where SSH does not lead to a shell, or to what serves the store and nothing else. */
  #commands(id: MachineId, machine: RunMachine, protocol: string): Omit<MachineAccess, "nixVersion" | "protocol"> {
    const { transports, sshSettings, clock, wrap } = this.#options;
    const reference = machine.listed?.store;
    if (reference === undefined || this.commandOpener(id, "true") === null || protocol.startsWith("serve"))
      return { command: null, freeBytes: null, openScratch: null };
    const command = (line: string) => wrap(transports.opener(sshCommandPlace(reference, line, sshSettings)));
    return {
      command,
      freeBytes: (signal) => freeSpaceThere(command, signal),
      openScratch: (signal) => openSshScratch({ reference, transports, sshSettings, clock, wrap }, signal),
    };
  }

  /** The embedded store compares every output by itself; a Nix needs another store to. */
  async #localScratch(): Promise<MachineAccess["openScratch"]> {
    const { kind } = await this.#options.destination;
    const { transports, clock, environment } = this.#options;
    const nixDaemon = await findProgram("nix-daemon", environment);
    if (kind !== "nix" || nixDaemon === null) return null;
    const parent = environment.TMPDIR ?? "/var/tmp";
    return (signal) => openLocalScratch({ transports, clock, nixDaemon, parent }, signal);
  }

  /** Ends what was begun ahead and never asked for. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#ahead.values());
    for (const result of opened) if (result.status === "fulfilled") await result.value.store.close();
  }

  async #open({ store: reference }: Machine, signal: AbortSignal): Promise<OpenedRemote> {
    const { transports, sshSettings, clock, wrap, config } = this.#options;
    const useSubstitutes = config.settings.buildersUseSubstitutes;
    // The plan keeps to the slots, which may change while it runs.
    const maxBuilds = Number.POSITIVE_INFINITY;
    const pollInterval = Math.max(1, config.settings.buildPollInterval);
    return openRemote(
      { reference, transports, sshSettings, clock, maxBuilds, pollInterval, useSubstitutes, wrap },
      signal,
    );
  }
}
