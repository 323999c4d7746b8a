// Who hears what happens in a run, and in which order.
import type { EngineEvent } from "../../events/event.ts";
import type { Command } from "../../scheduler/plan/command.ts";
import type { Decision } from "../../scheduler/plan/decide.ts";
import type { Fact } from "../../scheduler/plan/fact.ts";
import type { Now } from "../../scheduler/plan/state/turn.ts";

/** What a run can be heard of. */
export interface RunListener {
  /** What is told to whoever watches. */
  readonly event: (event: EngineEvent) => void;
  /** What was learned, before it is decided on. */
  readonly fact: (fact: Fact) => void;
  /** What was decided, before it is performed. */
  readonly decision: (fact: Fact, now: Now, decision: Decision) => void;
  /** One thing to be done, before it is performed. */
  readonly command: (command: Command) => void;
}

/** Everybody hears in this order, whenever they have joined. */
const ORDER = [
  // First on disk: nobody may act on what a killed program would not remember.
  "journal",
  // The user's view.
  "reader",
  "failedTargets",
  // Both may cause further events, which must come behind the one that caused them.
  "sentRates",
  "hooks",
  // Behind the queue, whose jobs it keeps the output of.
  "hookLogs",
  // Write down what the others only pass on.
  "decisions",
  "durations",
  "samplers",
] as const;

/** A list with a place for each listener; a place that nobody has taken is passed over. */
export class Listeners implements RunListener {
  readonly #places = new Map<(typeof ORDER)[number], Partial<RunListener>>();
  #list: readonly Partial<RunListener>[] = [];

  /** Takes a place; the listener hears only what it has a function for. */
  add(place: (typeof ORDER)[number], listener: Partial<RunListener>): void {
    this.#places.set(place, listener);
    this.#list = ORDER.flatMap((name) => this.#places.get(name) ?? []);
  }

  readonly event = (event: EngineEvent): void => {
    for (const listener of this.#list) listener.event?.(event);
  };

  readonly fact = (fact: Fact): void => {
    for (const listener of this.#list) listener.fact?.(fact);
  };

  readonly decision = (fact: Fact, now: Now, decision: Decision): void => {
    for (const listener of this.#list) listener.decision?.(fact, now, decision);
  };

  readonly command = (command: Command): void => {
    for (const listener of this.#list) listener.command?.(command);
  };
}
