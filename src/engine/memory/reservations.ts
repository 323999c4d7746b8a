// Which run of this user builds what: runs side by side with the same goals build each of them once, wherever each would have built it.
//
// Nix has its output locks for this, which a run that builds on other machines does not hold. A file with its owner stands for a goal while a run has it; one
// whose process is gone counts for nothing, so that nothing has to be cleaned up after a crash.

import { createHash } from "node:crypto";
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { makeDirectories } from "../base/directories.ts";
import { isAlive, parseOwner, printOwner, thisProcess } from "./owner.ts";

/** How often a goal that another run has is looked at again (ms). */
const LOOK_MS = 200;

/** A goal that is ours until it is released. */
export interface Reservation {
  /** Another run had it first: it may be built by now. */
  readonly hasWaited: boolean;
  /** Other runs have been at work beside this one: it may be built by now although nobody has it. */
  readonly mayBeBuilt: boolean;
  release(): void;
}

/** What happens while another run has a goal. */
export interface Waiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called once, when it is to be waited for. */
  readonly begun: () => void;
}

/** The goals of one destination store that runs are building. */
export class Reservations {
  readonly #directory: string;
  /** Two runs of one process, as tests have them, are two. */
  readonly #mark: string;
  /** What every goal that is ours is a link to: it is there whole, or not at all. */
  readonly #own: string;
  #isUsable: boolean;
  #hasCompany = false;

  /** @param directory one for each destination store; where it cannot be made or written, nothing is reserved */
  constructor(directory: string, runId: string) {
    this.#directory = directory;
    this.#mark = `${printOwner(thisProcess())} ${runId}`;
    this.#own = join(directory, `.${runId}`);
    this.#isUsable = attempt(() => {
      makeDirectories(directory, 0o700);
      writeFileSync(this.#own, this.#mark, { mode: 0o600 });
    });
  }

  /** Resolves when no other run has the goal. Rejects with the signal's reason. */
  async take(goal: string, { clock, signal, begun }: Waiting): Promise<Reservation> {
    const file = join(this.#directory, goal);
    let hasWaited = false;
    while (this.#isUsable && !this.#claim(file)) {
      signal.throwIfAborted();
      if (!hasWaited) begun();
      hasWaited = true;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(LOOK_MS, resolve);
        signal.addEventListener(
          "abort",
          () => {
            cancel();
            resolve();
          },
          { once: true },
        );
      });
    }
    let isOurs = this.#isUsable;
    return {
      hasWaited,
      mayBeBuilt: hasWaited || this.#hasOthers(),
      release: () => {
        if (isOurs) attempt(() => rmSync(file, { force: true }));
        isOurs = false;
      },
    };
  }

  /** Nothing is taken any more. */
  close(): void {
    attempt(() => rmSync(this.#own, { force: true }));
    this.#isUsable = false;
  }

  /** Whether another run has ever been seen here: its own file lies beside ours. */
  #hasOthers(): boolean {
    const own = basename(this.#own);
    this.#hasCompany ||= namesIn(this.#directory).some((name) => name.startsWith(".") && !name.startsWith(own));
    return this.#hasCompany;
  }

  /** Whether the goal is ours now; what cannot be written is not fought over. */
  #claim(file: string): boolean {
    try {
      linkSync(this.#own, file);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        this.#isUsable = false;
        return true;
      }
    }
    const mark = readOr(file);
    if (mark === this.#mark) return true;
    const owner = parseOwner(mark.split(" ", 1)[0] ?? "");
    if (owner !== null && isAlive(owner)) return false;
    // Whoever renames it first may have it. Another run that did may have it already: then it gets it back.
    const taken = `${this.#own}.taken`;
    if (!attempt(() => renameSync(file, taken))) return false;
    if (readOr(taken) !== mark) attempt(() => linkSync(taken, file));
    attempt(() => rmSync(taken, { force: true }));
    return false;
  }
}

/**
 * The reservations of the runs that bring their results into one store.
 * @param store what tells it from others: its root, or how it is named
 */
export function openReservations(journalDir: string, store: string, runId: string): Reservations {
  const key = createHash("sha256").update(store).digest("hex").slice(0, 16);
  return new Reservations(join(journalDir, "building", key), runId);
}

function attempt(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readOr(file: string): string {
  try {
    return readFileSync(file, "utf8").slice(0, 200);
  } catch {
    return "";
  }
}
