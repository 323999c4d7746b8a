// Whether a machine's cores are sold twice or left idle: the sum from the settings, and the use that was measured.
import type { Machine } from "./board.ts";

/** What slots × cores promise, beside what the machine has (Nix manual, "Tuning Cores and Jobs"). */
export interface CoreUse {
  /** Cores the machine has; null while unknown. */
  readonly cores: number | null;
  /** `slots × NIX_BUILD_CORES`; null while one of them is unknown. */
  readonly promised: number | null;
  /** Cores in use now; null where it is not measured. */
  readonly busy: number | null;
  readonly verdict: "oversold" | "undersold" | null;
}

/** Samples before an average says anything. */
const MIN_SAMPLES = 5;
/** Use below this share of what the machine has, while every slot is busy, is room left. */
const ROOM_SHARE = 0.75;

/**
 * *Oversold*: slots × cores exceed the cores the machine has. *Undersold*: they do not, all slots are busy, and the measured use
 * stays below what the machine has. Both are about full load: a machine with free slots is neither.
 */
export function coreUse(machine: Machine): CoreUse {
  const { usage, slots, description } = machine;
  const sampled = usage.type === "sampled" ? usage : null;
  const cores = sampled !== null && sampled.cores.length > 0 ? sampled.cores.length : description.cores;
  const promised = promisedCores(slots, description.buildCores, cores);
  const busy = sampled?.busyCores ?? null;
  return { cores, promised, busy, verdict: verdictOf() };

  function verdictOf(): CoreUse["verdict"] {
    if (cores === null || cores === 0) return null;
    if (promised !== null && promised > cores) return "oversold";
    const isFull = slots > 0 && machine.busy >= slots;
    if (sampled !== null && sampled.samples >= MIN_SAMPLES && isFull && sampled.averageBusyCores < cores * ROOM_SHARE)
      return "undersold";
    return null;
  }
}

/** Cores in use and cores there are, of the machines that are measured; a host that is several machines of the list counts once. */
export function measuredCores(machines: Iterable<Machine>): { readonly busy: number; readonly cores: number } {
  const hosts = new Map<string, { readonly busy: number; readonly cores: number; readonly at: number }>();
  for (const machine of machines) {
    const { usage, description } = machine;
    if (usage.type !== "sampled") continue;
    const host = usage.host === null ? `machine:${description.machine}` : `host:${usage.host}`;
    const known = hosts.get(host);
    if (known !== undefined && known.at > usage.at) continue;
    hosts.set(host, { busy: usage.busyCores, cores: usage.cores.length, at: usage.at });
  }
  let busy = 0;
  let cores = 0;
  for (const host of hosts.values()) {
    busy += host.busy;
    cores += host.cores;
  }
  return { busy, cores };
}

/** `NIX_BUILD_CORES` of 0 means all cores of the machine that builds. */
export function promisedCores(slots: number, buildCores: number | null, cores: number | null): number | null {
  if (buildCores === null) return null;
  if (buildCores > 0) return slots * buildCores;
  return cores === null ? null : slots * cores;
}
