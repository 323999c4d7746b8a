// The grammar of goals and their builds: learned of, built as often as it takes, finished; and at the end all of it adds up.
import type { EngineEvent, GoalDescription, GoalResult, RunOutcome } from "../../src/engine/events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../src/engine/events/ids.ts";
import type { Complain, GrammarPart } from "./event-grammar-part.ts";

/** How it stands with a build. `built`: it ended well, so that its outputs can be fetched. */
export type ClaimState = "unknown" | "open" | "built" | "ended";

interface Claim {
  readonly goal: GoalId;
  readonly lane: string;
  readonly machine: MachineId;
  state: Exclude<ClaimState, "unknown">;
  log: "none" | "kept" | "begun";
}

interface Goal {
  readonly description: GoalDescription;
  /** Null while it has not finished. */
  result: GoalResult | null;
  readonly open: Set<ClaimId>;
}

export class GoalGrammar implements GrammarPart {
  readonly #goals = new Map<GoalId, Goal>();
  readonly #claims = new Map<ClaimId, Claim>();
  /** Which build is in which slot. */
  readonly #lanes = new Map<string, ClaimId>();

  isKnown(goal: GoalId): boolean {
    return this.#goals.has(goal);
  }

  claimState(claim: ClaimId): ClaimState {
    return this.#claims.get(claim)?.state ?? "unknown";
  }

  hear(event: EngineEvent, complain: Complain): void {
    switch (event.type) {
      case "goalsAdded":
        // Not all at once: what a goal needs that turns out not to be substitutable comes later. Inputs that are not needed never come.
        for (const description of event.goals) {
          if (this.#goals.has(description.goal)) complain(`goal ${description.goal} was learned of before`);
          this.#goals.set(description.goal, { description, result: null, open: new Set() });
        }
        return;
      case "goalWaiting":
      case "substitutionStarted":
      case "substitutionProgressed":
        this.#undecided(event.goal, complain);
        return;
      case "goalReopened": {
        const goal = this.#known(event.goal, complain);
        if (goal === null) return;
        if (goal.result === null || isDone(goal.result)) complain(`goal ${event.goal} has not ended badly`);
        goal.result = null;
        return;
      }
      case "goalFinished": {
        const goal = this.#undecided(event.goal, complain);
        if (goal === null) return;
        // Whatever has been decided, a goal finishes only once nothing runs for it any more.
        for (const claim of goal.open) complain(`claim ${claim} of it is still open`);
        goal.result = event.result;
        if (event.result.type === "notBuilt" && event.result.because !== null)
          this.#known(event.result.because, complain);
        return;
      }
      // What differs may be found out after the goal has finished, of a check that failed for instance; but never of what is unknown.
      case "outputDiffered":
        this.#known(event.goal, complain);
        return;
      case "noticeRaised":
        if (event.goal !== null) this.#known(event.goal, complain);
        return;
      default:
        this.#hearBuild(event, complain);
    }
  }

  end(outcome: RunOutcome, isDriven: boolean, complain: Complain): void {
    for (const [claim, { state }] of this.#claims) if (state === "open") complain(`claim ${claim} has not ended`);
    if (!isDriven) return;
    const counts = { built: 0, substituted: 0, alreadyValid: 0, failed: 0, cancelled: 0, notBuilt: 0 };
    for (const [id, { result }] of this.#goals) {
      if (result === null) complain(`goal ${id} has not finished`);
      else counts[result.type] += 1;
    }
    for (const [type, count] of Object.entries(counts)) {
      const told = outcome[type as keyof typeof counts];
      if (told !== count) complain(`the outcome counts ${told} ${type}, the events ${count}`);
    }
  }

  #hearBuild(event: EngineEvent, complain: Complain): void {
    switch (event.type) {
      case "buildAssigned":
        this.#assigned(event, complain);
        return;
      case "buildStageChanged": {
        const state = this.claimState(event.claim);
        // The slot is free as soon as the builder is done; outputs are fetched from there afterwards.
        const isLate = event.stage === "receivingOutputs" && state === "built";
        if (state !== "open" && !isLate) complain(`claim ${event.claim} is ${state}`);
        return;
      }
      case "buildPhaseChanged":
        this.#open(event.claim, complain);
        return;
      case "buildLogKept": {
        const claim = this.#open(event.claim, complain);
        if (claim === null) return;
        if (claim.log !== "none") complain(`claim ${event.claim} has said so before, or has begun its log`);
        claim.log = "kept";
        return;
      }
      case "buildLogged": {
        const claim = this.#open(event.claim, complain);
        // A log that cannot be written is not kept, and shown all the same.
        if (claim !== null) claim.log = "begun";
        return;
      }
      case "buildEnded": {
        const claim = this.#open(event.claim, complain);
        if (claim === null) return;
        const { type } = event.result;
        claim.state = type === "built" || type === "alreadyValid" ? "built" : "ended";
        this.#goals.get(claim.goal)?.open.delete(event.claim);
        if (this.#lanes.get(claim.lane) === event.claim) this.#lanes.delete(claim.lane);
        return;
      }
      case "roundFinished": {
        // A round is judged when it has ended, and when the one it is compared with has; a machine's own comparison ends as failed.
        const claim = this.#claims.get(event.claim);
        if (claim === undefined || claim.state === "open") complain(`claim ${event.claim} has not ended`);
        if (claim !== undefined && (claim.goal !== event.goal || claim.machine !== event.machine))
          complain(`claim ${event.claim} is another goal's or machine's`);
        return;
      }
      default:
        return;
    }
  }

  #assigned(event: Extract<EngineEvent, { type: "buildAssigned" }>, complain: Complain): void {
    const { claim, machine, slot, round, rounds } = event;
    const lane = `${machine}/${slot}`;
    if (this.#claims.has(claim)) complain(`claim ${claim} began before`);
    const there = this.#lanes.get(lane);
    if (there !== undefined) complain(`claim ${there} is still in slot ${slot} of ${machine}`);
    if (round < 1 || round > rounds) complain(`there is no round ${round} of ${rounds}`);
    this.#claims.set(claim, { goal: event.goal, lane, machine, state: "open", log: "none" });
    this.#lanes.set(lane, claim);
    const goal = this.#undecided(event.goal, complain);
    if (goal === null) return;
    goal.open.add(claim);
    for (const input of goal.description.inputs) {
      const needed = this.#goals.get(input);
      if (needed !== undefined && (needed.result === null || !isDone(needed.result)))
        complain(`its input ${input} is not done`);
    }
  }

  #open(id: ClaimId, complain: Complain): Claim | null {
    const claim = this.#claims.get(id);
    if (claim?.state !== "open") complain(`claim ${id} is ${claim?.state ?? "unknown"}`);
    return claim ?? null;
  }

  #known(id: GoalId, complain: Complain): Goal | null {
    const goal = this.#goals.get(id);
    if (goal === undefined) complain(`goal ${id} was never learned of`);
    return goal ?? null;
  }

  #undecided(id: GoalId, complain: Complain): Goal | null {
    const goal = this.#known(id, complain);
    if (goal !== null && goal.result !== null) complain(`goal ${id} has finished`);
    return goal;
  }
}

function isDone(result: GoalResult): boolean {
  return result.type === "built" || result.type === "substituted" || result.type === "alreadyValid";
}
