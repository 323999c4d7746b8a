// Samples the machines of a run while they are connected: this one from the start, builders once they have been up for a moment.
import type { Clock } from "../../base/clock.ts";
import type { UsageEvent } from "../../events/event.ts";
import { LOCAL_MACHINE, type MachineId } from "../../events/ids.ts";
import type { Fact } from "../../scheduler/plan/fact.ts";
import type { TransportOpener } from "../../transports/transport.ts";
import { type Probe, probeLocal, probeRemote } from "../../usage/probe.ts";

/** A run that is over by then never pays for a sampler's login shell on the machine. */
const START_AFTER_MS = 1_000;

export interface SamplersOptions {
  readonly clock: Clock;
  /** Between two samples; 0 never samples. */
  readonly intervalMs: number;
  /** Starts the sampler on a machine; null where that is not possible. */
  readonly opener: (machine: MachineId) => TransportOpener | null;
  readonly publish: (event: UsageEvent) => void;
  readonly post: (fact: Fact) => void;
}

/** Starts and stops a probe for each machine as facts tell of it. */
export class Samplers {
  readonly #options: SamplersOptions;
  readonly #stops = new Map<MachineId, () => void>();

  constructor(options: SamplersOptions) {
    this.#options = options;
  }

  /** To be told every fact. */
  hear(fact: Fact): void {
    if (this.#options.intervalMs === 0) return;
    if (fact.type === "machineConnected") this.#start(fact.machine);
    if (fact.type === "machineLost") this.#stop(fact.machine);
  }

  close(): void {
    for (const machine of [...this.#stops.keys()]) this.#stop(machine);
  }

  #start(machine: MachineId): void {
    if (this.#stops.has(machine)) return;
    const { clock, intervalMs } = this.#options;
    const probing = { machine, clock, intervalMs, publish: (event: UsageEvent) => this.#heard(event) };
    if (machine === LOCAL_MACHINE) {
      const probe = probeLocal(probing);
      this.#stops.set(machine, () => probe.stop());
      return;
    }
    let probe: Probe | null = null;
    const cancel = clock.after(START_AFTER_MS, () => {
      const opener = this.#options.opener(machine);
      if (opener !== null) probe = probeRemote(probing, opener);
    });
    this.#stops.set(machine, () => {
      cancel();
      probe?.stop();
    });
  }

  #stop(machine: MachineId): void {
    this.#stops.get(machine)?.();
    this.#stops.delete(machine);
  }

  #heard(event: UsageEvent): void {
    this.#options.publish(event);
    if (event.type !== "usageSampled") return;
    this.#options.post({ type: "machineLoad", machine: event.machine, load1: event.load1, cores: event.cores.length });
  }
}
