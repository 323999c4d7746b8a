// When a machine that does not answer counts as gone: how long it is waited for depends on what would be lost with it.
import type { Clock } from "../../base/clock.ts";
import { EngineError } from "../../base/errors.ts";
import type { MachineStore } from "../../stores/store.ts";

/** How often is looked whether anything has come (ms). */
const LOOK_EVERY_MS = 500;
/** A machine from which nothing at all comes is waited for as long as its oldest build had run before, within these bounds (ms). */
const SHORTEST_SILENCE_MS = 6_000;
const LONGEST_SILENCE_MS = 20_000;

/** What is asked, and how much patience there is. */
export interface Question {
  /** For messages. */
  readonly machine: string;
  readonly store: Pick<MachineStore, "ping" | "heard">;
  readonly clock: Clock;
  /** Time without anything coming that the answer may take (ms), also where other things of the machine come now and then. */
  readonly withinMs: number;
  /** How long the oldest build there has run (ms), 0 when none runs: to give the machine up costs that much. */
  readonly atStakeMs: () => number;
}

/**
 * Asks a machine something small. Looks are counted, not time, so that a program that was itself stopped does not blame the machine; a look
 * that finds new bytes of the machine costs no patience, because the answer may stand behind a large transfer.
 * @throws EngineError `MACHINE_SILENT`, or what the question failed with
 */
export async function askWhetherThere(question: Question): Promise<void> {
  const { machine, store, clock, withinMs, atStakeMs } = question;
  const abort = new AbortController();
  const giveUp = (silentMs: number): void =>
    abort.abort(
      new EngineError(
        "transport",
        "MACHINE_SILENT",
        `no answer from '${machine}' within ${Math.round(silentMs / 1000)} s`,
      ),
    );
  let before = store.heard();
  let inARow = 0;
  let inAll = 0;
  let cancel: () => void = () => undefined;
  const look = (): void => {
    const now = store.heard();
    if (now !== null && now !== before) inARow = 0;
    else {
      inARow += LOOK_EVERY_MS;
      inAll += LOOK_EVERY_MS;
    }
    before = now;
    // The time of the silence itself is not worth waiting for.
    const bearable = Math.min(LONGEST_SILENCE_MS, Math.max(SHORTEST_SILENCE_MS, atStakeMs() - inARow));
    if (now !== null && inARow >= bearable) giveUp(inARow);
    else if (inAll >= withinMs) giveUp(inAll);
    else cancel = clock.after(LOOK_EVERY_MS, look);
  };
  cancel = clock.after(LOOK_EVERY_MS, look);
  try {
    await store.ping(abort.signal);
  } finally {
    cancel();
  }
}
