// What the plan knows of one machine: its link, its condition, its slots.
import type { MachineState } from "../events/event.ts";
import type { MachineId } from "../events/ids.ts";
import type { Claim } from "./claim.ts";
import type { MachineSpec } from "./fact.ts";

export type MachineCondition =
  | { readonly type: "open" }
  /** `until` is monotonic, `untilWall` wall time, both in ms. */
  | { readonly type: "coolingDown"; readonly reason: string; readonly until: number; readonly untilWall: number }
  /** Given up for this run. */
  | { readonly type: "off"; readonly reason: string };

/** What a machine's builds say of its pace: logarithms of actual ÷ expected length, weighed by how much each tells. */
export interface PaceEvidence {
  weight: number;
  sum: number;
  /** How many times slower than its speed factor says the machine is, by that. */
  slower: number;
  /** How many times slower it may be than all that says, as long as little is known. */
  doubt: number;
}

export interface Machine {
  readonly id: MachineId;
  readonly index: number;
  readonly spec: MachineSpec;
  /** Slots in force now. */
  slots: number;
  link: "down" | "connecting" | "up";
  /** It has been connected to in this run. */
  wasUp: boolean;
  /** Failures in a row, since it was up, that trying again is said not to mend. */
  refusals: number;
  /** When its connection was begun (monotonic ms). */
  connectingSince: number;
  condition: MachineCondition;
  hold: "none" | "cordoned" | "draining";
  /** Null until it said. */
  trusted: boolean | null;
  /** Claims by slot; may be longer than `slots` after slots were taken away. */
  readonly lanes: (Claim | null)[];
  running: number;
  /** A slot became free since the queues were last gone through. */
  hasFreed: boolean;
  /** Times it failed in a row: decides how long it cools down. */
  failures: number;
  /** Failed builds in a row, of whatever kind: it loses precedence. */
  streak: number;
  /** Failures of its machinery in a row: it cools down after a few. */
  suspicion: number;
  /** What its builds say of its speed. */
  readonly pace: PaceEvidence;
  /** Bytes per second that inputs were sent with lately, null before any were. */
  sendRate: number | null;
  load: { readonly load1: number; readonly cores: number } | null;
  published: MachineState;
}

export function createMachine(spec: MachineSpec, index: number): Machine {
  return {
    id: spec.machine,
    index,
    spec,
    slots: spec.slots,
    link: "down",
    wasUp: false,
    refusals: 0,
    connectingSince: 0,
    condition: { type: "open" },
    hold: "none",
    trusted: null,
    lanes: [],
    running: 0,
    hasFreed: true,
    failures: 0,
    streak: 0,
    suspicion: 0,
    pace: { weight: 0, sum: 0, slower: 1, doubt: 2 },
    sendRate: null,
    load: null,
    published: { type: "idle" },
  };
}

/** Whether it could be given a build now, had it a free slot. */
export function isUsable(machine: Machine): boolean {
  return machine.link === "up" && machine.condition.type === "open" && machine.hold === "none" && machine.slots > 0;
}

/** Whether it is being connected to, and could be given builds then. */
export function isArriving(machine: Machine): boolean {
  const { link, condition, hold, slots } = machine;
  return link === "connecting" && condition.type === "open" && hold === "none" && slots > 0;
}

/** Slots a build can start in now; never negative, also when slots were taken away. */
export function freeSlots(machine: Machine): number {
  return machine.link === "up" ? Math.max(0, machine.slots - machine.running) : 0;
}

/** The lowest free slot: a build keeps its lane, and lanes fill from the top. */
export function lowestFreeSlot(machine: Machine): number {
  for (let slot = 0; slot < machine.slots; slot++) if ((machine.lanes[slot] ?? null) === null) return slot;
  return -1;
}

/** The speed factor, of which Nix takes 0 as 1. */
export function speedOf(machine: Machine): number {
  return machine.spec.speedFactor > 0 ? machine.spec.speedFactor : 1;
}

/** The state as the board shows it. */
export function stateOf(machine: Machine): MachineState {
  const { condition, hold } = machine;
  if (condition.type === "off") return { type: "off", reason: condition.reason };
  if (hold !== "none") return { type: hold };
  if (condition.type === "coolingDown") {
    return { type: "coolingDown", reason: condition.reason, until: condition.untilWall, failures: machine.failures };
  }
  if (machine.link === "connecting") return { type: "connecting" };
  return machine.link === "up" ? { type: "up" } : { type: "idle" };
}
