// Tells the plan how fast inputs were sent to each machine, as the transfers' events say.
import type { EngineEvent } from "../../events/event.ts";
import type { CopyId, MachineId } from "../../events/ids.ts";
import type { Fact } from "../../scheduler/plan/fact.ts";

/** To be told every event. */
export class SentRates {
  readonly #post: (fact: Fact) => void;
  readonly #uploads = new Map<CopyId, MachineId>();

  constructor(post: (fact: Fact) => void) {
    this.#post = post;
  }

  hear(event: EngineEvent): void {
    if (event.type === "copyStarted" && event.direction === "upload") this.#uploads.set(event.copy, event.machine);
    if (event.type !== "copyFinished") return;
    const machine = this.#uploads.get(event.copy);
    this.#uploads.delete(event.copy);
    if (machine === undefined || event.failure !== null) return;
    const { doneBytes, durationMs } = event;
    this.#post({ type: "machineSent", machine, bytes: Number(doneBytes), durationMs });
  }
}
