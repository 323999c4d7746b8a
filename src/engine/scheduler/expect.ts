// How long a build is expected to take on a machine, before and while it runs.
import type { Claim } from "./claim.ts";
import type { Goal } from "./goal.ts";
import { laneOf } from "./goal-class.ts";
import { type Machine, speedOf } from "./machine.ts";
import type { Plan } from "./plan.ts";

/** Work in ms at speed 1 of a build nothing is known of, before any has ended. */
export const UNKNOWN_WORK_MS = 60_000;

/** A running build that is overdue is expected to take this share of its time so far again. */
const OVERDUE_SHARE = 0.25;

/** Each failed build in a row makes a machine look this much slower, at most 16 times: what fails at once must not attract all the work. */
const FAILURE_FACTOR = 2;

/** The guess at a build nothing is known of: heavier with more sources (bytes). */
export function guessedWork(inputBytes: number): number {
  return UNKNOWN_WORK_MS * (1 + Math.min(9, Math.log2(1 + inputBytes / 262_144)));
}

/** Learns a goal's work, from its usual duration on the quickest machine that may take it, or from the size of its sources. */
export function assessWork(plan: Plan, goal: Goal, machines: readonly Machine[]): void {
  let quickest: Machine | null = null;
  for (const machine of machines) if (quickest === null || speedOf(machine) > speedOf(quickest)) quickest = machine;
  const duration = quickest === null ? null : plan.options.durations(goal.spec, quickest.spec);
  goal.isKnown = duration !== null;
  goal.work = duration === null || quickest === null ? guessedWork(goal.spec.inputBytes) : duration * speedOf(quickest);
}

/** What a build is expected to take. */
export interface Expectation {
  /** Mean, in ms: what to weigh machines by. */
  readonly meanMs: number;
  /** Typical, in ms: when it will probably be done. */
  readonly typicalMs: number;
}

/** Expected time of the build alone, slowed by what else the machine does. */
export function expectedOn(plan: Plan, goal: Goal, machine: Machine): Expectation {
  const slowdown = slowdownOf(machine);
  if (goal.isKnown) {
    const known = plan.options.durations(goal.spec, machine.spec) ?? goal.work / speedOf(machine);
    return { meanMs: known * slowdown, typicalMs: known * slowdown };
  }
  const lane = laneOf(goal);
  const unit = (goal.work / speedOf(machine)) * slowdown;
  return { meanMs: unit * plan.learned.mean[lane]!, typicalMs: unit * plan.learned.typical[lane]! };
}

/** What is told to the user: only what is known. */
export function expectedMsFor(plan: Plan, goal: Goal, machine: Machine): number | null {
  return plan.options.durations(goal.spec, machine.spec);
}

/** When a running build is expected to end (monotonic ms); overdue ones later and later. */
export function expectedEnd(plan: Plan, claim: Claim, now: number): number {
  const end = claim.startedAt + claim.sendMs + expectedOn(plan, claim.goal, claim.machine).typicalMs;
  return end > now ? end : now + OVERDUE_SHARE * (now - claim.startedAt);
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
  const { transferMs } = plan.options;
  return transferMs === null || machine.spec.isLocal ? 0 : transferMs(bytesToSend(goal, machine), machine.spec);
}

/** How much slower than its speed factor a machine works: load that is not ours, and failures in a row. */
function slowdownOf(machine: Machine): number {
  const { load, spec, running, streak } = machine;
  let factor = 1;
  if (load !== null && load.cores > 0) {
    const { buildCores } = spec;
    const coresEach = buildCores === null ? 1 : buildCores === 0 ? load.cores : buildCores;
    factor += Math.max(0, load.load1 - running * coresEach) / load.cores;
  }
  return streak === 0 ? factor : factor * FAILURE_FACTOR ** Math.min(streak, 4);
}
