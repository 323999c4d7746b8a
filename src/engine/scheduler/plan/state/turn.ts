// One decision under way: the plan, the time, and what has been decided so far.
import type { EngineEvent } from "../../../events/event.ts";
import type { RequestId } from "../../../events/ids.ts";
import type { Command } from "../command.ts";
import type { Plan, Timer } from "./plan.ts";

/** The time of a decision: monotonic ms for what is compared, wall ms for what is shown. */
export interface Now {
  readonly mono: number;
  readonly wall: number;
}

export interface Turn {
  readonly plan: Plan;
  readonly now: Now;
  readonly commands: Command[];
  readonly events: EngineEvent[];
}

/** Asks to be looked at again at a time (monotonic ms). */
export function setTimer(turn: Turn, at: number, what: Timer["what"]): void {
  turn.plan.timers.push({ at, order: turn.plan.counts.timers++, what });
}

/** The wall time that belongs to a monotonic time. */
export function wallAt(turn: Turn, mono: number): number {
  return turn.now.wall + (mono - turn.now.mono);
}

/** Answers a request; requests of nobody (signals) are not answered. */
export function answer(turn: Turn, request: RequestId | null, done: boolean, message: string): void {
  if (request !== null) turn.events.push({ type: "requestAnswered", request, done, message });
}

/** Tells the user something that belongs to no state. */
export function notice(
  turn: Turn,
  level: "info" | "warning" | "error",
  code: string,
  message: string,
  about: { readonly hint?: string; readonly goal?: Notice["goal"]; readonly machine?: Notice["machine"] } = {},
): void {
  const { hint = null, goal = null, machine = null } = about;
  turn.events.push({ type: "noticeRaised", level, code, message, hint, cause: null, machine, goal });
}

type Notice = Extract<EngineEvent, { type: "noticeRaised" }>;
