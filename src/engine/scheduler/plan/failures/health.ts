// The life of machines: connected when they are needed, cooled down when they fail, off only when nothing can help.

import type { MachineState } from "../../../events/event.ts";
import type { MachineFact, MachineSpec } from "../fact.ts";
import { isUndecided } from "../state/goal.ts";
import { createMachine, stateOf } from "../state/machine.ts";
import { reviewAll } from "../state/plan.ts";
import { jitteredWait } from "../state/random.ts";
import type { GoalClass, Machine } from "../state/records.ts";
import { setTimer, type Turn } from "../state/turn.ts";
import type { Effect } from "./classify.ts";

/** No machine cools down longer than this (ms) while there is no other one. */
const ALONE_LONGEST_MS = 30_000;

export function addMachine(turn: Turn, spec: MachineSpec): void {
  const { plan } = turn;
  if (plan.machineById.has(spec.machine)) return;
  const machine = createMachine(spec, plan.machines.length);
  plan.machines.push(machine);
  plan.machineById.set(spec.machine, machine);
  const { uri, systems, slots, speedFactor, supportedFeatures, mandatoryFeatures, buildCores, cores } = spec;
  const limits = { slots, speedFactor, supportedFeatures, mandatoryFeatures, buildCores, cores };
  turn.events.push({ type: "machineAdded", machine: { machine: spec.machine, uri, systems, ...limits } });
  changed(turn, machine);
}

export function onMachine(turn: Turn, fact: MachineFact): void {
  const machine = turn.plan.machineById.get(fact.machine);
  if (machine === undefined) return;
  switch (fact.type) {
    case "machineConnected":
      machine.link = "up";
      machine.wasUp = true;
      machine.refusals = 0;
      machine.trusted = fact.trusted;
      turn.plan.hasUntrusted ||= fact.trusted === false;
      // It answered: whatever it was to be spared for is over.
      if (machine.condition.type === "coolingDown" && machine.running === 0) machine.condition = { type: "open" };
      turn.events.push({
        type: "machineIdentified",
        machine: machine.id,
        nixVersion: fact.nixVersion,
        protocol: fact.protocol,
        trusted: fact.trusted,
      });
      changed(turn, machine);
      return;
    case "machineLost":
      machine.link = "down";
      if (fact.permanent) machine.refusals += 1;
      // What was up in this run may come back whatever it says now: it may just be starting. Not for ever, though.
      if (fact.permanent && (!machine.wasUp || machine.refusals >= turn.plan.options.maxAttempts))
        switchOff(turn, machine, fact.reason);
      else coolDown(turn, machine, fact.reason);
      return;
    case "machineLoad":
      machine.load = { load1: fact.load1, cores: fact.cores };
      turn.plan.outlook.stamp = -1;
      return;
    case "machineSent":
      learnRate(machine, fact.bytes, fact.durationMs);
      return;
  }
}

/** What is sent in less is latency, not bandwidth (bytes, ms). */
const TELLING_BYTES = 256 * 1024;
const TELLING_MS = 10;

/** How much the last transfer counts beside all before. */
const NEWEST_SHARE = 0.3;

function learnRate(machine: Machine, bytes: number, durationMs: number): void {
  if (bytes < TELLING_BYTES || durationMs < TELLING_MS) return;
  const rate = (bytes * 1000) / durationMs;
  machine.sendRate = machine.sendRate === null ? rate : (1 - NEWEST_SHARE) * machine.sendRate + NEWEST_SHARE * rate;
}

/** Connects, all at once, the machines that could take goals of the class; true when there was one to connect to. */
export function connectNeeded(turn: Turn, goalClass: GoalClass): boolean {
  if (goalClass.members === 0 || turn.plan.halt !== null || turn.plan.finished) return false;
  goalClass.isUnconnected = false;
  let isConnecting = false;
  for (const machine of goalClass.possible) isConnecting = connect(turn, machine) || isConnecting;
  return isConnecting;
}

function connect(turn: Turn, machine: Machine): boolean {
  if (machine.link !== "down" || machine.condition.type !== "open" || machine.intake !== "open") return false;
  machine.link = "connecting";
  machine.connectingSince = turn.now.mono;
  turn.commands.push({ type: "connectMachine", machine: machine.id });
  publishState(turn, machine);
  return true;
}

/** The machine gets nothing for a while, longer each time it fails in a row; then it is tried again, for ever. */
export function coolDown(turn: Turn, machine: Machine, reason: string): void {
  const { plan, now } = turn;
  const { condition } = machine;
  if (condition.type === "off") return;
  machine.suspicion = 0;
  // What fails at once counts once, and the first reason is the one that led to the others.
  if (condition.type === "coolingDown" && condition.until > now.mono) {
    changed(turn, machine);
    return;
  }
  machine.failures += 1;
  // Trying costs little, waiting for the last machine costs everything.
  const { firstMs, longestMs } = plan.options.coolDown;
  const longest = hasAlternative(machine, plan.machines) ? longestMs : Math.min(longestMs, ALONE_LONGEST_MS);
  const wait = jitteredWait({ firstMs, longestMs: longest }, machine.failures, plan.random);
  machine.condition = { type: "coolingDown", reason, until: now.mono + wait, untilWall: now.wall + wait };
  setTimer(turn, now.mono + wait, { type: "machine", machine });
  changed(turn, machine);
}

function switchOff(turn: Turn, machine: Machine, reason: string): void {
  machine.condition = { type: "off", reason };
  changed(turn, machine);
}

/** The time to cool down has passed. */
export function warmUp(turn: Turn, machine: Machine): void {
  if (machine.condition.type !== "coolingDown" || machine.condition.until > turn.now.mono) return;
  machine.condition = { type: "open" };
  changed(turn, machine);
}

/** What a failed build says of the machine it ran on. */
export function noteFailure(turn: Turn, machine: Machine, effect: Effect, message: string): void {
  machine.streak += 1;
  switch (effect) {
    case "nothing":
    case "excluded":
      return;
    case "suspect":
      machine.suspicion += 1;
      if (machine.suspicion >= turn.plan.options.suspectAfter) {
        coolDown(turn, machine, `${machine.suspicion} failures in a row, the last: ${message}`);
      }
      return;
    case "diskFull":
      coolDown(turn, machine, "its disk is full");
      return;
    case "unable":
      switchOff(turn, machine, message);
      return;
    case "processTableFull":
      coolDown(turn, machine, "it cannot start processes");
      return;
  }
}

/** A build ended well: the machine is trusted again. */
export function noteSuccess(machine: Machine): void {
  machine.streak = 0;
  machine.suspicion = 0;
  machine.failures = 0;
}

/** Sets whether the machine takes new builds. */
export function setIntake(turn: Turn, machine: Machine, intake: Machine["intake"]): void {
  machine.intake = intake;
  if (intake === "open") {
    // The user wants it back: what it did before does not count.
    machine.condition = { type: "open" };
    machine.failures = 0;
    machine.streak = 0;
    machine.suspicion = 0;
  }
  changed(turn, machine);
  leaveWhenIdle(turn, machine);
}

/** A draining machine is let go when nothing needs it any more: no build runs there and no output lies there only. */
export function leaveWhenIdle(turn: Turn, machine: Machine): void {
  if (machine.intake !== "draining" || machine.link !== "up" || machine.running > 0) return;
  for (const claim of turn.plan.claims.values()) {
    const needed = claim.state.type === "built" || claim.state.type === "receiving";
    if (needed && claim.machine === machine && isUndecided(claim.goal)) return;
  }
  machine.link = "down";
  turn.commands.push({ type: "disconnectMachine", machine: machine.id, reason: "drained" });
  changed(turn, machine);
}

/** Notes that matches may have changed, and shows the state. */
export function changed(turn: Turn, machine: Machine): void {
  turn.plan.machineStamp += 1;
  reviewAll(turn.plan);
  publishState(turn, machine);
}

function publishState(turn: Turn, machine: Machine): void {
  const state = stateOf(machine);
  if (isSame(state, machine.published)) return;
  machine.published = state;
  turn.events.push({ type: "machineStateChanged", machine: machine.id, state });
}

function isSame(a: MachineState, b: MachineState): boolean {
  if (a.type === "coolingDown" && b.type === "coolingDown") return a.until === b.until && a.reason === b.reason;
  return a.type === b.type && (a.type !== "off" || b.type !== "off" || a.reason === b.reason);
}

/** Whether another machine than this one may take builds now or soon. */
export function hasAlternative(machine: Machine, candidates: readonly Machine[]): boolean {
  return candidates.some(
    (other) => other !== machine && other.slots > 0 && other.condition.type === "open" && other.intake === "open",
  );
}
