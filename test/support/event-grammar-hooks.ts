// The grammar of hooks and uploads: queued, started, ended, and so again for each try.
import type { EngineEvent, RunOutcome } from "../../src/engine/events/event.ts";
import type { GoalId, HookId } from "../../src/engine/events/ids.ts";
import type { Complain, GrammarPart } from "./event-grammar-part.ts";

/**
 * `waiting`: its last try failed, and the next one is set. `failed`: it has ended, but stays in the queue. `over`: nothing is left of it.
 */
type HookState = "unknown" | "queued" | "running" | "waiting" | "failed" | "over";

export class HookGrammar implements GrammarPart {
  readonly #isKnown: (goal: GoalId) => boolean;
  readonly #hooks = new Map<HookId, HookState>();

  constructor(isKnown: (goal: GoalId) => boolean) {
    this.#isKnown = isKnown;
  }

  hear(event: EngineEvent, complain: Complain): void {
    switch (event.type) {
      case "hookQueued":
        // Again when the user wants one tried again that has failed, or that waits for its next try. Jobs of earlier runs are taken up as
        // soon as the queue is opened, which is before stage building, and their goals need not be this run's.
        this.#expect(event.hook, ["unknown", "waiting", "failed"], complain);
        if (event.kind === "diff" && !this.#isKnown(event.goal)) complain(`goal ${event.goal} was never learned of`);
        this.#hooks.set(event.hook, "queued");
        return;
      case "hookStarted":
        // A try that was set (`willRetry`) starts without being queued again.
        this.#expect(event.hook, event.attempt === 1 ? ["queued"] : ["waiting"], complain);
        this.#hooks.set(event.hook, "running");
        return;
      case "hookLogged":
        this.#expect(event.hook, ["running"], complain);
        return;
      case "hookFinished": {
        const { type } = event.result;
        switch (type) {
          // Also those that never started: the run was stopped. And those that wait for a try which this run does not make any more.
          case "left":
            this.#expect(event.hook, ["queued", "running", "waiting"], complain);
            break;
          // Also of an earlier run that had given it up: it is told of as queued and given up at once. A blocking one may fail before it starts.
          case "givenUp":
          case "failed":
            this.#expect(event.hook, ["queued", "running"], complain);
            break;
          default:
            this.#expect(event.hook, ["running"], complain);
        }
        const isOver = type === "succeeded" || type === "dropped";
        this.#hooks.set(event.hook, type === "willRetry" ? "waiting" : isOver ? "over" : "failed");
        return;
      }
      default:
        return;
    }
  }

  end(_outcome: RunOutcome, _isDriven: boolean, complain: Complain): void {
    for (const [hook, state] of this.#hooks) {
      if (state === "queued" || state === "running" || state === "waiting") complain(`hook ${hook} is still ${state}`);
    }
  }

  #expect(hook: HookId, states: readonly HookState[], complain: Complain): void {
    const state = this.#hooks.get(hook) ?? "unknown";
    if (!states.includes(state)) complain(`hook ${hook} is ${state}`);
  }
}
