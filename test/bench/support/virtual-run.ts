// Runs a plan in virtual time: builds take what they are told to take, and nothing else does; only the scheduler's own work is real.
import type { Estimate } from "../../../src/engine/events/event.ts";
import type { Command } from "../../../src/engine/scheduler/plan/command.ts";
import { type Decision, decide } from "../../../src/engine/scheduler/plan/decide.ts";
import type { Fact, GoalSpec, MachineSpec } from "../../../src/engine/scheduler/plan/fact.ts";
import type { PlanOptions } from "../../../src/engine/scheduler/plan/options.ts";
import { Heap } from "../../../src/engine/scheduler/plan/queues/heap.ts";
import { createPlan, type Plan } from "../../../src/engine/scheduler/plan/state/plan.ts";

export interface VirtualRun {
  /** Virtual ms from start to end. */
  readonly makespanMs: number;
  readonly builds: number;
  /** CPU time in µs for each build: every fact's decision, and the little that the simulation itself takes. */
  readonly microsPerBuild: number;
  readonly decisions: number;
  readonly events: number;
  /** Largest resident set seen, in MiB. */
  readonly peakMiB: number;
  /** Share of the run's time in which the stated range of the time left held the true end; null when none was ever stated. */
  readonly rangeHeld: number | null;
}

interface Due {
  readonly at: number;
  readonly order: number;
  readonly fact: Fact;
}

/**
 * Builds all goals on machines that are there at once; `durationMs` says how long a build really takes. `seen` is shown the plan after every
 * decision. Throws when the run does not succeed.
 */
export function runVirtually(
  goals: readonly GoalSpec[],
  machines: readonly MachineSpec[],
  options: Partial<PlanOptions>,
  durationMs: (command: Extract<Command, { type: "startBuild" }>) => number,
  seen: (plan: Plan, now: number) => void = () => undefined,
): VirtualRun {
  const plan = createPlan(options);
  const due = new Heap<Due>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  let order = 0;
  let now = 0;
  let tickAt = Number.POSITIVE_INFINITY;
  let [builds, decisions, events, peak] = [0, 0, 0, 0];
  let exitStatus: number | null = null;
  const stated: { readonly at: number; readonly range: Estimate | null }[] = [];
  const post = (at: number, fact: Fact) => due.push({ at, order: order++, fact });
  const perform = (decision: Decision): void => {
    events += decision.events.length;
    for (const event of decision.events)
      if (event.type === "estimateChanged") stated.push({ at: now, range: event.remaining });
    for (const command of decision.commands) {
      switch (command.type) {
        case "startBuild": {
          const duration = durationMs(command);
          const { claim } = command;
          post(now + duration, {
            type: "claimBuilt",
            claim,
            durationMs: duration,
            executed: true,
            outputs: [],
            differs: [],
            messages: [],
          });
          builds += 1;
          break;
        }
        case "receiveOutputs":
          post(now, { type: "outputsReceived", claim: command.claim });
          break;
        case "wakeAt":
          tickAt = command.at;
          break;
        case "finishRun":
          exitStatus = command.outcome.exitStatus;
          break;
        default:
          throw new Error(`did not expect ${command.type}`);
      }
    }
  };
  const say = (fact: Fact): void => {
    const decision = decide(plan, fact, { mono: now, wall: now });
    decisions += 1;
    if (decisions % 4096 === 0) peak = Math.max(peak, process.memoryUsage.rss());
    perform(decision);
    seen(plan, now);
  };
  // Time on the CPU, not on the clock: other programs on the machine must not count.
  const before = process.threadCpuUsage();
  for (const spec of machines) {
    say({ type: "machineAdded", spec });
    const { machine } = spec;
    say({ type: "machineConnected", machine, nixVersion: null, protocol: "virtual", trusted: true });
  }
  say({ type: "goalsAdded", goals });
  say({ type: "goalsComplete" });
  while (exitStatus === null) {
    const next = due.peek();
    if (next === undefined && tickAt === Number.POSITIVE_INFINITY) throw new Error("the plan waits for nothing");
    if (next === undefined || tickAt < next.at) {
      now = tickAt;
      tickAt = Number.POSITIVE_INFINITY;
      say({ type: "tick" });
    } else {
      due.pop();
      now = next.at;
      say(next.fact);
    }
  }
  if (exitStatus !== 0) throw new Error(`the run ended with ${exitStatus}`);
  const { user, system } = process.threadCpuUsage(before);
  peak = Math.max(peak, process.memoryUsage.rss());
  return {
    makespanMs: now,
    builds,
    microsPerBuild: (user + system) / builds,
    decisions,
    events,
    peakMiB: peak / 1048576,
    rangeHeld: shareHeld(stated, now),
  };
}

/** A range counts for as long as it stands, counting down as the board shows it. */
function shareHeld(
  stated: readonly { readonly at: number; readonly range: Estimate | null }[],
  end: number,
): number | null {
  let held = 0;
  let all = 0;
  for (const [index, { at, range }] of stated.entries()) {
    if (range === null) continue;
    const until = stated[index + 1]?.at ?? end;
    all += until - at;
    const left = end - at;
    if (range.lowMs <= left && left <= range.highMs) held += until - at;
  }
  return all === 0 ? null : held / all;
}
