// `builders`: the machine list as understood, and each machine probed: what answers, or what is wrong and how to mend it.
import { availableParallelism } from "node:os";
import { systemClock } from "../base/clock.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { withoutPassword } from "../base/without-password.ts";
import { loadConfig, loadMachines } from "../config/load.ts";
import { machineNames } from "../config/machine.ts";
import { printStoreReference } from "../config/store-reference.ts";
import { openRemote } from "../stores/open/open-remote.ts";
import { sshTarget } from "../stores/open/places.ts";
import { readSshOptions } from "../stores/open/ssh-environment.ts";
import { UNKNOWN_SETTINGS } from "../stores/remote/nix-settings.ts";
import { Transports } from "../transports/open.ts";

/** One machine of the list. */
export interface ProbedBuilder {
  readonly name: string;
  readonly uri: string;
  readonly systems: readonly string[];
  readonly slots: number;
  readonly speedFactor: number;
  readonly supportedFeatures: readonly string[];
  readonly mandatoryFeatures: readonly string[];
  readonly answer:
    | {
        readonly type: "reachable";
        readonly protocol: string;
        readonly nixVersion: string | null;
        readonly trusted: boolean | null;
        /** The machine's own `cores`, null unknown. */
        readonly cores: number | null;
        /** Systems and features its own Nix names; empty when unknown. */
        readonly system: string | null;
        readonly systemFeatures: readonly string[];
        /** Why it is reached through the ssh program; null: it is not. */
        readonly via: string | null;
      }
    | { readonly type: "failed"; readonly code: string; readonly reason: string; readonly hint: string | null };
}

export interface ProbedBuilders {
  readonly builders: readonly ProbedBuilder[];
  readonly localSlots: number;
  /** The text of the list (`builders`). */
  readonly setting: string;
  /** What is wrong with the list and the configuration. */
  readonly problems: readonly { readonly message: string; readonly hint: string | null }[];
}

/**
 * Reads the list and connects to every machine in it, all at once; each is told of as soon as it has answered. Never throws for a machine.
 * @throws EngineError of family `config`
 */
export async function probeBuilders(
  overrides: ReadonlyMap<string, string>,
  surroundings: Surroundings,
  answered: (builder: ProbedBuilder) => void = () => undefined,
): Promise<ProbedBuilders> {
  const config = loadConfig(overrides);
  const { machines, problems } = loadMachines(config);
  const { sshSettings, warnings } = readSshOptions(surroundings.environment);
  const notices: string[] = [...config.warnings, ...warnings];
  const { environment } = surroundings;
  const transports = new Transports({
    clock: systemClock,
    environment,
    notice: ({ message }) => notices.push(message),
  });
  const names = machineNames(machines);
  const probe = async (index: number): Promise<ProbedBuilder> => {
    const machine = machines[index]!;
    const known = {
      name: names[index]!,
      uri: printStoreReference(machine.store),
      systems: [...machine.systems],
      slots: machine.maxJobs,
      speedFactor: machine.speedFactor,
      supportedFeatures: [...machine.supportedFeatures],
      mandatoryFeatures: [...machine.mandatoryFeatures],
    };
    try {
      const options = { reference: machine.store, transports, sshSettings, clock: systemClock, maxBuilds: 1 };
      const { store, description, settings } = await openRemote(
        { ...options, useSubstitutes: false, wrap: (opener) => opener },
        new AbortController().signal,
      );
      const { cores, system, systemFeatures } = await settings().catch(() => UNKNOWN_SETTINGS);
      const via = transports.sshHost(sshTarget(machine.store, sshSettings)).via;
      await store.close();
      const { protocol, nixVersion, trusted } = description;
      return {
        ...known,
        answer: { type: "reachable", protocol, nixVersion, trusted, cores, system, systemFeatures, via },
      };
    } catch (error) {
      const code = error instanceof EngineError ? error.code : "UNKNOWN";
      const hint = error instanceof EngineError ? error.hint : null;
      return { ...known, answer: { type: "failed", code, reason: messageOf(error), hint } };
    }
  };
  try {
    const told = async (index: number): Promise<ProbedBuilder> => {
      const builder = await probe(index);
      answered(builder);
      return builder;
    };
    const builders = await Promise.all(machines.map((_, index) => told(index)));
    const { maxJobs } = config.settings;
    return {
      builders,
      setting: withoutPassword(config.settings.builders),
      localSlots: maxJobs === "auto" ? availableParallelism() : maxJobs,
      problems: [
        ...problems.map(({ error }) => ({ message: error.message, hint: error.hint })),
        ...notices.map((message) => ({ message, hint: null })),
      ],
    };
  } finally {
    transports.close();
  }
}
