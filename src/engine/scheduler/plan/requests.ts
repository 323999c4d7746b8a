// What the user asked for: done, or refused with the reason; every request is answered once.

import type { RequestId } from "../../events/ids.ts";
import type { RequestFact } from "./fact.ts";
import { changed, setIntake } from "./failures/health.ts";
import { endGoal, finishGoal, halt, haltReason } from "./goals/finish.ts";
import { reopen } from "./goals/reopen.ts";
import { endedBadly, isDone } from "./state/goal.ts";
import { type Halt, type Plan, reviewAll } from "./state/plan.ts";
import type { Goal, Machine } from "./state/records.ts";
import { answer, type Turn } from "./state/turn.ts";

/** More slots than any machine has; guards against a slip of the finger. */
const MOST_SLOTS = 4096;

export function onRequest(turn: Turn, fact: RequestFact): void {
  const { plan } = turn;
  const say = (done: boolean, message: string) => answer(turn, fact.request, done, message);
  if (plan.finished) {
    say(false, "the run is over");
    return;
  }
  switch (fact.type) {
    case "cancelGoal":
      withGoal(turn, fact, (goal) => cancelGoal(turn, fact.request, goal));
      return;
    case "retryGoal":
      withGoal(turn, fact, (goal) => retry(turn, fact.request, goal));
      return;
    case "retryFailed":
      retryFailed(turn, fact.request);
      return;
    case "buildNext":
      withGoal(turn, fact, (goal) => buildNext(turn, fact.request, goal));
      return;
    case "cordonMachine":
    case "drainMachine":
    case "uncordonMachine":
      withMachine(turn, fact, (machine) => changeIntake(turn, fact, machine));
      return;
    case "setSlots":
      withMachine(turn, fact, (machine) => setSlots(turn, fact.request, machine, fact.slots));
      return;
    case "pauseDispatch":
    case "resumeDispatch": {
      const paused = fact.type === "pauseDispatch";
      if (plan.halt?.type === "stopped") {
        say(false, `${stoppedWords(plan.halt)}: nothing starts any more`);
        return;
      }
      if (plan.paused === paused) {
        say(false, paused ? "dispatch is paused already" : "dispatch is not paused");
        return;
      }
      plan.paused = paused;
      reviewAll(plan);
      turn.events.push({ type: paused ? "dispatchPaused" : "dispatchResumed" });
      const why = plan.halt === null ? "dispatch goes on" : `dispatch is resumed, but ${idleWords(plan)}`;
      say(true, paused ? "nothing new starts until dispatch is resumed" : why);
      return;
    }
    case "leave":
      if (plan.hold === "held") plan.hold = "left";
      say(plan.hold === "left", plan.hold === "left" ? "the run ends" : "the run goes on; stop it first");
      return;
    case "stop":
      stop(turn, fact);
      return;
  }
}

function withGoal(turn: Turn, fact: Extract<RequestFact, { goal: unknown }>, act: (goal: Goal) => void): void {
  const goal = turn.plan.goals.get(fact.goal);
  if (goal === undefined || !goal.needed) answer(turn, fact.request, false, `${fact.goal} is not part of this run`);
  else act(goal);
}

function withMachine(
  turn: Turn,
  fact: Extract<RequestFact, { machine: unknown }>,
  act: (machine: Machine) => void,
): void {
  const machine = turn.plan.machineById.get(fact.machine);
  if (machine === undefined) answer(turn, fact.request, false, `there is no machine '${fact.machine}'`);
  else act(machine);
}

function cancelGoal(turn: Turn, request: RequestId, goal: Goal): void {
  const { name } = goal.spec;
  const result = { type: "cancelled", reason: "cancelled by the user" } as const;
  const { phase } = goal;
  switch (phase.type) {
    case "finished":
      answer(turn, request, false, `'${name}' has ended already`);
      return;
    case "hook":
      answer(turn, request, false, `'${name}' is built; only its post-build hook still runs`);
      return;
    case "building":
      if (phase.verdict !== null) {
        answer(turn, request, false, `'${name}' is ending already`);
        return;
      }
      endGoal(turn, goal, result, "cancelled by the user");
      break;
    case "substituting":
      if (phase.verdict === null) {
        phase.verdict = result;
        turn.commands.push({ type: "cancelSubstitution", goal: goal.id });
      }
      break;
    default:
      finishGoal(turn, goal, result);
  }
  const pruned = prune(turn, goal);
  answer(
    turn,
    request,
    true,
    pruned === 0 ? `'${name}' is cancelled` : `'${name}' is cancelled, and ${pruned} waiting that only it needed`,
  );
}

/** Ends what waits and is needed by nothing any more. What runs goes on: its result is worth keeping. */
function prune(turn: Turn, from: Goal): number {
  let count = 0;
  const stack = [...from.inputs];
  for (let goal = stack.pop(); goal !== undefined; goal = stack.pop()) {
    const { phase } = goal;
    const waits =
      phase.type === "inputs" || phase.type === "toSubstitute" || (phase.type === "building" && goal.open.length === 0);
    if (!waits || goal.isTarget || goal.dependants.some((dependant) => needsInputs(dependant, from))) continue;
    const result = {
      type: "notBuilt",
      because: from.id,
      reason: `only '${from.spec.name}' needed it, which was cancelled`,
    } as const;
    if (phase.type === "building") endGoal(turn, goal, result, "nothing needs it");
    else finishGoal(turn, goal, result);
    count += 1;
    stack.push(...goal.inputs);
  }
  return count;
}

/** Whether a goal still has use for its inputs; the one being cancelled has not. */
function needsInputs(goal: Goal, cancelled: Goal): boolean {
  return goal !== cancelled && goal.needed && (goal.phase.type === "inputs" || goal.phase.type === "building");
}

function retry(turn: Turn, request: RequestId, goal: Goal): void {
  const { name } = goal.spec;
  if (isDone(goal)) answer(turn, request, false, `'${name}' is done; there is nothing to try again`);
  else if (!endedBadly(goal)) answer(turn, request, false, `'${name}' has not ended`);
  else if (turn.plan.halt?.type === "stopped") answer(turn, request, false, "the run is stopping");
  else {
    const count = reopen(turn, [goal]);
    answer(
      turn,
      request,
      true,
      count === 1 ? `'${name}' is tried again` : `'${name}' is tried again, with ${count - 1} more`,
    );
  }
}

function retryFailed(turn: Turn, request: RequestId): void {
  const { plan } = turn;
  const failed = [...plan.goals.values()].filter(
    (goal) => goal.phase.type === "finished" && goal.phase.result.type === "failed",
  );
  if (failed.length === 0) answer(turn, request, false, "nothing has failed");
  else if (plan.halt?.type === "stopped") answer(turn, request, false, "the run is stopping");
  else {
    reopen(turn, failed);
    answer(
      turn,
      request,
      true,
      failed.length === 1 ? "1 failed build is tried again" : `${failed.length} failed builds are tried again`,
    );
  }
}

function buildNext(turn: Turn, request: RequestId, goal: Goal): void {
  const { plan } = turn;
  const { name } = goal.spec;
  if (goal.phase.type === "finished" || goal.phase.type === "hook") {
    answer(turn, request, false, `'${name}' has ended already`);
    return;
  }
  if (goal.open.length > 0) {
    answer(turn, request, false, `'${name}' is being built`);
    return;
  }
  plan.counts.boosts += 1;
  let count = 0;
  const stack = [goal];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next.boost === plan.counts.boosts || next.phase.type === "finished" || !next.needed) continue;
    next.boost = plan.counts.boosts;
    if (next !== goal) count += 1;
    stack.push(...next.inputs);
  }
  plan.queuesChanged = true;
  reviewAll(plan);
  answer(
    turn,
    request,
    true,
    count === 0 ? `'${name}' goes next` : `'${name}' goes next, with ${count} builds it waits for`,
  );
}

function changeIntake(
  turn: Turn,
  fact: Extract<RequestFact, { type: "cordonMachine" | "drainMachine" | "uncordonMachine" }>,
  machine: Machine,
): void {
  const { request } = fact;
  const { id } = machine;
  const running = machine.running === 1 ? "1 build" : `${machine.running} builds`;
  switch (fact.type) {
    case "cordonMachine":
      if (machine.intake === "cordoned") {
        answer(turn, request, false, `${id} is cordoned already`);
        return;
      }
      setIntake(turn, machine, "cordoned");
      answer(turn, request, true, `${id} takes nothing new; ${running} there go on`);
      return;
    case "drainMachine":
      if (machine.intake === "draining") {
        answer(turn, request, false, `${id} is draining already`);
        return;
      }
      setIntake(turn, machine, "draining");
      answer(turn, request, true, `${id} takes nothing new and is left when idle; ${running} there go on`);
      return;
    case "uncordonMachine":
      if (machine.intake === "open" && machine.condition.type === "open") {
        answer(turn, request, false, `${id} takes builds already`);
        return;
      }
      setIntake(turn, machine, "open");
      answer(turn, request, true, takesBuilds(turn.plan, machine));
      return;
  }
}

function setSlots(turn: Turn, request: RequestId, machine: Machine, slots: number): void {
  if (!Number.isInteger(slots) || slots < 0 || slots > MOST_SLOTS) {
    answer(turn, request, false, `slots must be a number from 0 to ${MOST_SLOTS}, not ${slots}`);
    return;
  }
  machine.slots = slots;
  turn.events.push({ type: "machineSlotsChanged", machine: machine.id, slots });
  changed(turn, machine);
  const over = machine.running - slots;
  const later = over > 0 ? ` once ${plural(over, "build")} there ${over === 1 ? "has" : "have"} ended` : "";
  const why = slots === 0 ? null : (refusal(machine) ?? idleWords(turn.plan));
  answer(turn, request, true, `${machine.id}: ${plural(slots, "slot")}${later}${why === null ? "" : `, but ${why}`}`);
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Why a machine takes nothing new, whatever its slots; null when it does. */
function refusal({ intake, condition }: Machine): string | null {
  switch (intake) {
    case "cordoned":
      return "it is cordoned and takes nothing new";
    case "draining":
      return "it is draining and takes nothing new";
    case "open":
      return conditionWords(condition);
  }
}

function conditionWords(condition: Machine["condition"]): string | null {
  switch (condition.type) {
    case "open":
      return null;
    case "coolingDown":
      return "it is cooling down and takes nothing until it answers again";
    case "off":
      return `it is not used: ${condition.reason}`;
  }
}

/** Why nothing starts on any machine; null while builds start. */
function idleWords({ halt: why, paused }: Plan): string | null {
  if (why?.type === "stopped") return `${stoppedWords(why)}: nothing starts any more`;
  if (why !== null) return `nothing starts before what failed is tried again: ${haltReason(why)}`;
  return paused ? "dispatch is paused" : null;
}

function takesBuilds(plan: Plan, { id }: Machine): string {
  const why = idleWords(plan);
  return why === null ? `${id} takes builds again` : `${id} is uncordoned, but ${why}`;
}

function stoppedWords({ how }: Extract<Halt, { type: "stopped" }>): string {
  return how === "cancel" ? "the run is being cancelled" : "the run finishes what runs";
}

function stop(turn: Turn, fact: Extract<RequestFact, { type: "stop" }>): void {
  const { plan } = turn;
  const { how, reason, request } = fact;
  if (plan.halt?.type === "stopped" && (plan.halt.how === "cancel" || how === "drain")) {
    answer(
      turn,
      request,
      false,
      plan.halt.how === "cancel" ? "the run is being cancelled" : "the run is stopping already",
    );
    return;
  }
  turn.events.push({ type: "runStopping", how, reason });
  halt(turn, { type: "stopped", how, reason });
  answer(turn, request, true, how === "drain" ? "what runs is finished, nothing new starts" : "what runs is cancelled");
}
