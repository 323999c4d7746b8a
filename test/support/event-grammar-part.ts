// What the parts of the grammar of events have in common: each knows the rules about one kind of thing.
import type { EngineEvent, RunOutcome } from "../../src/engine/events/event.ts";

/** Says what is wrong, in words. */
export type Complain = (what: string) => void;

/** The rules about one kind of thing. */
export interface GrammarPart {
  hear(event: EngineEvent, complain: Complain): void;
  /** The run has ended; `isDriven` says that it ended by itself, and not because something broke before or while it was driven. */
  end(outcome: RunOutcome, isDriven: boolean, complain: Complain): void;
}
