// How long a build is expected to take on a machine, before and while it runs.

import { guessOf } from "../state/goal-class.ts";
import { speedOf } from "../state/machine.ts";
import type { Plan } from "../state/plan.ts";
import type { Claim, Goal, Machine } from "../state/records.ts";
import { believedWork, noteRecorded } from "./belief.ts";
import { typicalRatio } from "./learned.ts";

/** Work in ms at speed 1 of a build nothing is known of, before any has ended. */
export const UNKNOWN_WORK_MS = 60_000;

/** Recorded durations below this (ms) say no more than that the build is short. */
const SHORTEST_MS = 100;

/** A build that has run for some time is expected to go on for at least this share of it. */
const OVERDUE_SHARE = 0.25;

/** What opening a connection usually takes, in ms. */
const CONNECT_MS = 1000;

/** Each failed build in a row after the first makes a machine look this much slower, at most 16 times: what fails at once must not attract all the work. */
const FAILURE_FACTOR = 2;

/** The guess at a build nothing is known of: heavier with more sources (bytes). */
export function guessedWork(inputBytes: number): number {
  return UNKNOWN_WORK_MS * (1 + Math.min(9, Math.log2(1 + inputBytes / 262_144)));
}

/** Learns a goal's work, from its usual duration on the quickest machine that may take it, or from the size of its sources. */
export function assessWork(plan: Plan, goal: Goal, quickest: Machine | null): void {
  const duration = quickest === null ? null : plan.options.durations(goal.spec, quickest.spec);
  goal.isKnown = duration !== null;
  goal.recorded =
    duration === null || quickest === null
      ? guessedWork(goal.spec.inputBytes)
      : Math.max(SHORTEST_MS, duration) * speedOf(quickest);
  goal.work = goal.recorded;
  if (!goal.isKnown) return;
  noteRecorded(plan.belief, goal.recorded);
  goal.work = believedWork(plan.belief, goal.recorded);
}

/** What is believed of the recorded duration of a goal on a machine, in ms, or its guessed work at the machine's claimed speed: what ended builds are compared with. */
export function recordedMs(plan: Plan, goal: Goal, machine: Machine): number {
  const recorded = goal.isKnown ? plan.options.durations(goal.spec, machine.spec) : null;
  return recorded === null
    ? goal.work / speedOf(machine)
    : (Math.max(SHORTEST_MS, recorded) * goal.work) / goal.recorded;
}

/** What this run has shown of recorded durations, or of guesses, and of the machine: the factor between recorded and expected. */
export function correctionOf(plan: Plan, goal: Goal, machine: Machine): number {
  return typicalRatio(plan.learned, guessOf(goal)) * machine.pace.slower;
}

/** What is told to the user: only what is known. */
export function expectedMsFor(plan: Plan, goal: Goal, machine: Machine): number | null {
  return goal.isKnown ? recordedMs(plan, goal, machine) * correctionOf(plan, goal, machine) : null;
}

/** When a running build is expected to end (monotonic ms): by what is known now, and the later the longer it has run. Never in the past. */
export function expectedEnd(plan: Plan, claim: Claim, now: number): number {
  const { goal, machine, recordedMs: recorded, sendMs: sending, startedAt } = claim;
  const elapsed = now - startedAt;
  const left = sending + recorded * correctionOf(plan, goal, machine) - elapsed;
  return now + Math.max(left, OVERDUE_SHARE * elapsed, 0);
}

/** When a machine is expected to be connected (monotonic ms); one that lets us wait is expected later and later. */
export function expectedArrival(machine: Machine, now: number): number {
  const at = machine.connectingSince + CONNECT_MS;
  return at > now ? at : now + OVERDUE_SHARE * (now - machine.connectingSince) + 1;
}

/** Bytes of inputs the machine has not, as far as sizes are known. */
export function bytesToSend(goal: Goal, machine: Machine): number {
  if (machine.spec.isLocal) return 0;
  let bytes = goal.spec.inputBytes;
  for (const input of goal.inputs) {
    if (input.outputBytes > 0 && !input.places.includes(machine.index)) bytes += input.outputBytes;
  }
  return bytes;
}

/** Expected time to send the goal's inputs, in ms. */
export function sendMs(plan: Plan, goal: Goal, machine: Machine): number {
  const { sendRate } = plan.options;
  if (sendRate === null || machine.spec.isLocal) return 0;
  return (bytesToSend(goal, machine) * 1000) / (machine.sendRate ?? sendRate);
}

/** How much slower than its speed factor a machine works by load that is not ours, 1 for none; null where load is not measured. */
export function loadFactorOf({ load, spec, running }: Machine): number | null {
  if (load === null || load.cores <= 0) return null;
  const { buildCores } = spec;
  const coresEach = buildCores === null ? 1 : buildCores === 0 ? load.cores : buildCores;
  return 1 + Math.max(0, load.load1 - running * coresEach) / load.cores;
}

/** How much slower than its speed factor a machine works: load that is not ours (`unmeasured` where it is not known), and failures in a row. */
export function slowdownOf(machine: Machine, unmeasured: number): number {
  const factor = loadFactorOf(machine) ?? unmeasured;
  return machine.streak < 2 ? factor : factor * FAILURE_FACTOR ** Math.min(machine.streak - 1, 4);
}
