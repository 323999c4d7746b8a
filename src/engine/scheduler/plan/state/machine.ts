// What can be asked of a machine, and how one begins.

import type { MachineState } from "../../../events/event.ts";
import type { MachineSpec } from "../fact.ts";
import type { Machine } from "./records.ts";

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
    intake: "open",
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
  return machine.link === "up" && machine.condition.type === "open" && machine.intake === "open" && machine.slots > 0;
}

/** Whether it is being connected to, and could be given builds then. */
export function isArriving(machine: Machine): boolean {
  const { link, condition, intake, slots } = machine;
  return link === "connecting" && condition.type === "open" && intake === "open" && slots > 0;
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
  const { condition, intake } = machine;
  if (condition.type === "off") return { type: "off", reason: condition.reason };
  if (intake !== "open") return { type: intake };
  if (condition.type === "coolingDown") {
    return { type: "coolingDown", reason: condition.reason, until: condition.untilWall, failures: machine.failures };
  }
  if (machine.link === "connecting") return { type: "connecting" };
  return machine.link === "up" ? { type: "up" } : { type: "idle" };
}
