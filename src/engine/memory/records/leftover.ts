// What a run has not brought to its end, folded from its records: where each build was last, and the attempts it has used.
import type { ClaimId, GoalId, MachineId } from "../../events/ids.ts";
import { LOCAL_MACHINE } from "../../events/ids.ts";
import type { JournalRecord, LeftBuild } from "./record.ts";

interface Place {
  readonly claim: ClaimId | null;
  readonly machine: MachineId;
  readonly round: number;
  isBuilt: boolean;
}

interface Left {
  readonly goal: GoalId;
  places: Place[];
  isUnverified: boolean;
  failures: string[];
}

/** The fold; `take` records in the order they were written. */
export class Leftover {
  readonly #left = new Map<GoalId, Left>();
  readonly #goals = new Map<ClaimId, GoalId>();

  take(record: JournalRecord): void {
    switch (record.type) {
      case "carried": {
        const { goal, machine, isBuilt, isUnverified, failures } = record.build;
        const places = machine === null ? [] : [{ claim: null, machine, round: 1, isBuilt }];
        this.#left.set(goal, { goal, places, isUnverified, failures: [...failures] });
        return;
      }
      case "buildSent":
        this.#sent(record);
        return;
      case "buildEnded":
        this.#ended(record);
        return;
      case "goalFinished":
        this.#finished(record);
        return;
      case "runStarted":
      case "runFinished":
        return;
    }
  }

  /** Whether anything is left of a goal. */
  has(goal: GoalId): boolean {
    return this.#left.has(goal);
  }

  /** What is left now. A goal whose build failed for good, or was cancelled before it was built, is not. */
  builds(): LeftBuild[] {
    const found: LeftBuild[] = [];
    for (const { goal, places, isUnverified, failures } of this.#left.values()) {
      const last = places.findLast((place) => place.isBuilt) ?? places.at(-1);
      const machine = last?.machine ?? null;
      found.push({ goal, machine, isBuilt: last?.isBuilt ?? false, isUnverified, failures });
    }
    return found;
  }

  #sent(record: Extract<JournalRecord, { type: "buildSent" }>): void {
    const { goal, claim, machine, round, rounds, attempt, isCheck } = record;
    this.#goals.set(claim, goal);
    let left = this.#left.get(goal);
    if (left === undefined) {
      left = { goal, places: [], isUnverified: false, failures: [] };
      this.#left.set(goal, left);
    }
    // What the round had before is lost: outputs that could not be fetched count as an attempt, too.
    const lost = left.places.find((place) => place.round === round);
    left.places = left.places.filter((place) => place.round !== round);
    while (left.failures.length < attempt - 1) {
      left.failures.push(`${lost?.machine ?? machine}: its outputs did not arrive`);
    }
    left.places.push({ claim, machine, round, isBuilt: false });
    if (rounds > 1 && !isCheck && machine === LOCAL_MACHINE) left.isUnverified = true;
  }

  #ended({ claim, result, message }: Extract<JournalRecord, { type: "buildEnded" }>): void {
    const left = this.#left.get(this.#goals.get(claim) ?? ("" as GoalId));
    const place = left?.places.find((each) => each.claim === claim);
    if (left === undefined || place === undefined) return;
    if (result === "built") {
      place.isBuilt = true;
      return;
    }
    left.places = left.places.filter((each) => each !== place);
    if (result === "machineryFailed") left.failures.push(`${place.machine}: ${message}`);
  }

  #finished({ goal, result }: Extract<JournalRecord, { type: "goalFinished" }>): void {
    const left = this.#left.get(goal);
    if (left === undefined) return;
    // What was cancelled while its outputs were on their way lies on its machine still.
    left.places = result === "cancelled" ? left.places.filter((place) => place.isBuilt) : [];
    left.failures = [];
    if (left.places.length === 0) this.#left.delete(goal);
  }
}
