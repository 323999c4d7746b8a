// A machine of the list: what it can build, and how it is reached.
import type { Where } from "./nix-conf.ts";
import type { SshReference } from "./store-reference.ts";
import { printDestination } from "./store-reference.ts";

/** One machine (Nix manual, Remote Builds). */
export interface Machine {
  /** Its parameters include the list's key and host key, and all features, as `system-features`. */
  readonly store: SshReference;
  readonly systems: ReadonlySet<string>;
  /** Parallel builds; 0 keeps the machine in the list but gives it none. */
  readonly maxJobs: number;
  /** Above 0; 1 unless given. */
  readonly speedFactor: number;
  readonly supportedFeatures: ReadonlySet<string>;
  readonly mandatoryFeatures: ReadonlySet<string>;
  /** Where the list names it. */
  readonly where: Where;
}

/** The machine's name on screen and in requests: `nix@mac`. */
export function machineName(machine: Machine): string {
  return printDestination(machine.store.destination);
}

/** A name for each machine, in order; repeated names get `#2`, `#3`… so that all are different. `taken` holds names not to use. */
export function machineNames(machines: readonly Machine[], taken: Iterable<string> = []): string[] {
  const used = new Set(taken);
  return machines.map((machine) => {
    const name = machineName(machine);
    let unique = name;
    for (let n = 2; used.has(unique); n += 1) unique = `${name}#${n}`;
    used.add(unique);
    return unique;
  });
}
