// Keeps a build in its lane: a machine's slots as rows that hold still while builds come and go.
import type { Board, Build, EndedBuild, Machine } from "./board.ts";

/** How long a freed lane still shows how its build ended. */
export const LINGER_MS = 4000;

/** Puts a build into the lane of its slot. */
export function laneTaken(board: Board, build: Build): void {
  const machine = board.machines.get(build.machine);
  if (machine === undefined) return;
  while (machine.lanes.length <= build.slot) machine.lanes.push({ type: "idle" });
  if (machine.lanes[build.slot]?.type !== "busy") machine.busy++;
  machine.lanes[build.slot] = { type: "busy", build };
}

/** Frees the lane, unless another build has it already. */
export function laneEnded(board: Board, ended: EndedBuild): void {
  const machine = board.machines.get(ended.build.machine);
  if (machine === undefined) return;
  const lane = machine.lanes[ended.build.slot];
  if (lane?.type === "busy" && lane.build === ended.build) {
    machine.lanes[ended.build.slot] = { type: "ended", ended };
    machine.busy--;
  }
  if (ended.result.type === "built") {
    machine.done.built++;
    machine.done.totalMs += ended.durationMs;
  } else if (ended.result.type === "failed") machine.done.failed++;
  dropSurplus(machine);
}

/** Gives the machine another number of slots; a busy surplus slot keeps its lane until its build ends. */
export function setLanes(machine: Machine, slots: number): void {
  machine.slots = Math.max(0, slots);
  while (machine.lanes.length < machine.slots) machine.lanes.push({ type: "idle" });
  dropSurplus(machine);
}

function dropSurplus(machine: Machine): void {
  while (machine.lanes.length > machine.slots && machine.lanes.at(-1)?.type !== "busy") machine.lanes.pop();
}
