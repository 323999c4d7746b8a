// The grammar of transfers: each begins once and ends once, and belongs to a build that needs it.
import type { EngineEvent, RunOutcome } from "../../src/engine/events/event.ts";
import type { ClaimId, CopyId } from "../../src/engine/events/ids.ts";
import type { ClaimState } from "./event-grammar-goals.ts";
import type { Complain, GrammarPart } from "./event-grammar-part.ts";

export class CopyGrammar implements GrammarPart {
  readonly #claimState: (claim: ClaimId) => ClaimState;
  readonly #copies = new Map<CopyId, "open" | "ended">();

  constructor(claimState: (claim: ClaimId) => ClaimState) {
    this.#claimState = claimState;
  }

  hear(event: EngineEvent, complain: Complain): void {
    switch (event.type) {
      case "copyStarted": {
        const { copy, claim, direction } = event;
        if (this.#copies.has(copy)) complain(`copy ${copy} began before`);
        this.#copies.set(copy, "open");
        if (claim === null) return;
        const state = this.#claimState(claim);
        // Results are fetched after the build has ended: its slot is free meanwhile.
        if (state !== "open" && !(direction === "download" && state === "built"))
          complain(`claim ${claim} is ${state}`);
        return;
      }
      case "copyProgressed":
      case "copyFinished": {
        const state = this.#copies.get(event.copy) ?? "unknown";
        if (state !== "open") complain(`copy ${event.copy} is ${state}`);
        if (event.type === "copyFinished") this.#copies.set(event.copy, "ended");
        return;
      }
      default:
        return;
    }
  }

  end(_outcome: RunOutcome, _isDriven: boolean, complain: Complain): void {
    for (const [copy, state] of this.#copies) if (state === "open") complain(`copy ${copy} has not ended`);
  }
}
