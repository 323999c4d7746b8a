// Says why goals wait, one reason at a time, and only when it changes.

import type { WaitingReason } from "../../../events/event.ts";
import type { GoalId } from "../../../events/ids.ts";
import type { Choice } from "../policies/policy.ts";
import { isDone, wantsSlot } from "../state/goal.ts";
import type { Plan } from "../state/plan.ts";
import type { Goal, GoalClass, Machine } from "../state/records.ts";
import { type Turn, wallAt } from "../state/turn.ts";
import { goalRefusal } from "./eligibility.ts";

/** Reasons that change with every build that ends are not told more often than this. */
const TELL_EVERY_MS = 1000;

/** At most this many inputs are named. */
const NAMED_INPUTS = 8;

/** Where the inputs of one goal are put together; holds nothing between calls. */
const named: GoalId[] = new Array<GoalId>(NAMED_INPUTS).fill("" as GoalId);

/** Publishes a goal's reason to wait. */
export function tell(turn: Turn, goal: Goal, reason: WaitingReason): void {
  goal.waiting = reason;
  goal.waitingSince = turn.now.mono;
  turn.events.push({ type: "goalWaiting", goal: goal.id, reason });
}

/** Says which inputs a goal waits for: when it is added, and once more for the last one. */
export function tellInputs(turn: Turn, goal: Goal): void {
  const most = Math.min(goal.pending, NAMED_INPUTS);
  let count = 0;
  for (const input of goal.inputs) {
    if (count === most) break;
    if (!isDone(input)) named[count++] = input.id;
  }
  // A list that grows one by one takes several times the memory, and there is one for each goal.
  tell(turn, goal, { type: "inputs", pending: goal.pending, first: named.slice(0, count) });
}

/** Says that a faster machine is waited for. */
export function tellWaitingForMachine(
  turn: Turn,
  goal: Goal,
  { machine, at, because }: Extract<Choice, { type: "wait" }>,
): void {
  const { waiting } = goal;
  if (waiting?.type === "betterMachine") {
    if (waiting.machine === machine.id || turn.now.mono - goal.waitingSince < TELL_EVERY_MS) return;
  }
  tell(turn, goal, { type: "betterMachine", machine: machine.id, expectedAt: wallAt(turn, at), because: because() });
}

/** Says of every goal that has joined a queue, or whose queue waits for another reason than before, why it waits. */
export function tellWaiting(turn: Turn): void {
  const { plan } = turn;
  if (plan.halt !== null) {
    plan.fresh = [];
    return;
  }
  for (const goal of plan.fresh) {
    if (goal.open.length > 0 || !wantsSlot(goal) || goal.goalClass === null) continue;
    if (goal.waiting?.type === "betterMachine") continue;
    tell(turn, goal, reasonOf(turn, goal, goal.goalClass));
  }
  plan.fresh = [];
  for (const goalClass of plan.classList) tellClass(turn, goalClass);
}

function tellClass(turn: Turn, goalClass: GoalClass): void {
  const { type } = classReason(turn, goalClass);
  if (type === goalClass.told) return;
  // Where builds wait for hooks, the reason comes and goes with every build.
  const flickers = type === "hook" || goalClass.told === "hook";
  if (flickers && turn.now.mono - goalClass.toldAt < TELL_EVERY_MS) return;
  goalClass.told = type;
  goalClass.toldAt = turn.now.mono;
  for (const goals of [...goalClass.queues.map((queue) => queue.items()), goalClass.aside]) {
    for (const goal of goals) {
      if (goal.open.length > 0 || !wantsSlot(goal)) continue;
      if (type === "slots" && goal.waiting?.type === "betterMachine") continue;
      const reason = reasonOf(turn, goal, goalClass);
      if (reason.type !== goal.waiting?.type) tell(turn, goal, reason);
    }
  }
}

/** Why a goal that wants a slot has none. */
function reasonOf(turn: Turn, goal: Goal, goalClass: GoalClass): WaitingReason {
  if (goal.trouble === null) return classReason(turn, goalClass);
  return reasonOver(
    turn,
    goalClass.possible.filter((machine) => goalRefusal(turn.plan, goal, machine) === null),
  );
}

/** The reason most goals of the class share; worked out once for each state of the machines. */
function classReason(turn: Turn, goalClass: GoalClass): WaitingReason {
  const { plan } = turn;
  if (plan.paused || plan.options.hook.type === "blocking") return reasonOver(turn, goalClass.possible);
  if (goalClass.reason === null || goalClass.reasonStamp !== plan.machineStamp) {
    goalClass.reason = reasonOver(turn, goalClass.possible);
    goalClass.reasonStamp = plan.machineStamp;
  }
  return goalClass.reason;
}

function reasonOver(turn: Turn, machines: readonly Machine[]): WaitingReason {
  const { plan } = turn;
  if (plan.paused) return { type: "paused" };
  const hook = blockingHook(plan);
  if (hook !== null) return { type: "hook", hook };
  const ids = (these: readonly Machine[]) => these.map((machine) => machine.id);
  const open = machines.filter((machine) => machine.intake === "open");
  const connecting = open.filter((machine) => machine.condition.type === "open");
  // One that is being connected to, or comes back soon, will have a slot for it as well as one that is there.
  if (connecting.some((machine) => machine.link === "up")) {
    const coming = open.filter((machine) => machine.condition.type !== "off");
    return { type: "slots", machines: ids(coming) };
  }
  if (connecting.length > 0) return { type: "connecting", machines: ids(connecting) };
  const cooling = open.flatMap((machine) =>
    machine.condition.type === "coolingDown" ? [machine.condition.untilWall] : [],
  );
  if (cooling.length > 0) return { type: "coolingDown", machines: ids(open), until: Math.min(...cooling) };
  return machines.length > 0 ? { type: "cordoned", machines: ids(machines) } : { type: "connecting", machines: [] };
}

function blockingHook(plan: Plan) {
  if (plan.options.hook.type !== "blocking") return null;
  for (const hook of plan.hooks.keys()) return hook;
  return null;
}
