// Tells of transfers as events, with progress at most five times a second.
import type { Clock } from "../../base/clock.ts";
import type { EngineEvent } from "../../events/event.ts";
import type { ClaimId, CopyId, MachineId } from "../../events/ids.ts";
import type { TransferReporter } from "./machine-session.ts";

/** Milliseconds between two reports of one transfer. */
const REPORT_EVERY_MS = 200;

/** Numbers transfers and publishes how they go. */
export class CopyEvents {
  readonly #clock: Clock;
  readonly #publish: (event: EngineEvent) => void;
  #count = 0;

  constructor(clock: Clock, publish: (event: EngineEvent) => void) {
    this.#clock = clock;
    this.#publish = publish;
  }

  /** Reports transfers made for a claim. */
  reporter(machine: MachineId, claim: ClaimId): TransferReporter {
    const clock = this.#clock;
    const publish = this.#publish;
    return {
      begin: (direction, paths, expectedBytes) => {
        const copy = `x${++this.#count}` as CopyId;
        const startedAt = clock.now();
        let reportedAt = startedAt;
        let done = 0n;
        publish({ type: "copyStarted", copy, direction, machine, claim, paths, expectedBytes: String(expectedBytes) });
        return {
          progress: ({ doneBytes }) => {
            done = doneBytes;
            if (clock.now() - reportedAt < REPORT_EVERY_MS) return;
            reportedAt = clock.now();
            publish({ type: "copyProgressed", copy, doneBytes: String(done) });
          },
          end: (failure) => {
            const durationMs = clock.now() - startedAt;
            publish({ type: "copyFinished", copy, doneBytes: String(done), durationMs, failure });
          },
        };
      },
    };
  }
}
