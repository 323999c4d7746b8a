// Makes goals valid by substitution, as the plan asks, and says how that goes.
import { EngineError, messageOf } from "../../base/errors.ts";
import type { EngineEvent, OutputPath } from "../../events/event.ts";
import type { GoalId } from "../../events/ids.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { SubstitutingStore } from "../../stores/store.ts";
import type { Fact, SubstitutionFailure } from "../plan/fact.ts";

export interface SubstitutionsOptions {
  readonly store: SubstitutingStore;
  readonly outputsOf: (goal: GoalId) => readonly OutputPath[];
  readonly publish: (event: EngineEvent) => void;
  readonly post: (fact: Fact) => void;
}

/** The substitutions under way. */
export class Substitutions {
  readonly #options: SubstitutionsOptions;
  readonly #running = new Map<GoalId, AbortController>();

  constructor(options: SubstitutionsOptions) {
    this.#options = options;
  }

  /** Fetches the goal's outputs; posts `substitutionEnded`. Never rejects. */
  async start(goal: GoalId): Promise<void> {
    const { store, publish, outputsOf, post } = this.#options;
    const abort = new AbortController();
    this.#running.set(goal, abort);
    let failure: SubstitutionFailure | null = null;
    // The goal's bytes are those of all its outputs, fetched one after the other.
    let before = { doneBytes: 0n, expectedBytes: 0n };
    try {
      for (const output of outputsOf(goal)) {
        let sum = before;
        await store.ensurePath(
          output.path as StorePath,
          (progress) => {
            const doneBytes = before.doneBytes + progress.doneBytes;
            const expectedBytes = before.expectedBytes + progress.expectedBytes;
            sum = { doneBytes, expectedBytes };
            publish({
              type: "substitutionProgressed",
              goal,
              doneBytes: `${doneBytes}`,
              expectedBytes: `${expectedBytes}`,
            });
          },
          abort.signal,
          (path, from) => publish({ type: "substitutionStarted", goal, paths: [path], from }),
        );
        before = sum;
      }
    } catch (error) {
      const isGone = error instanceof EngineError && error.code === "SUBSTITUTE_NOT_FOUND";
      failure = { type: isGone ? "gone" : "failed", reason: messageOf(error) };
    }
    this.#running.delete(goal);
    post({ type: "substitutionEnded", goal, failure });
  }

  cancel(goal: GoalId): void {
    this.#running.get(goal)?.abort(new Error("cancelled"));
  }

  /** The run has ended. */
  close(): void {
    for (const abort of this.#running.values()) abort.abort(new Error("the run ended"));
  }
}
