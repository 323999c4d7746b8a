// The report of a run on determinism: derivations × rounds × machines with verdicts, folded from the engine's events.
import type { EngineEvent, PublishedEvent } from "../../events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../events/ids.ts";

/** Raised with every incompatible change of {@link DeterminismReport}. */
export const REPORT_VERSION = 1;

/** What is known of one round. */
export interface ReportedRound {
  /** 1-based; several tries of one round give one row, the last. */
  readonly round: number;
  readonly machine: MachineId;
  /** `first`: the one others are compared with. `none`: it was lost, cancelled, or never compared. */
  readonly verdict: "first" | "same" | "differs" | "none";
  /** Null while it has not ended. */
  readonly durationMs: number | null;
}

/** One output of which two results differ. */
export interface ReportedDifference {
  readonly output: string;
  readonly round: number;
  readonly firstPath: string;
  readonly otherPath: string | null;
  readonly firstMachine: MachineId;
  readonly otherMachine: MachineId;
  readonly summary: readonly string[];
}

/**
 * How a derivation stands. `reproducible`: every round and check agreed. `differs`: some output differs. `unverified`: built, with nothing to compare.
 * `failed`, `cancelled`: it did not get so far.
 */
export type DerivationVerdict = "reproducible" | "differs" | "unverified" | "failed" | "cancelled";

export interface ReportedDerivation {
  readonly drvPath: GoalId;
  readonly name: string;
  readonly kind: "check" | "rounds";
  readonly verdict: DerivationVerdict;
  readonly rounds: readonly ReportedRound[];
  readonly differences: readonly ReportedDifference[];
}

/** What `--report FILE` holds, as JSON. */
export interface DeterminismReport {
  readonly version: typeof REPORT_VERSION;
  readonly runId: string;
  /** ms since 1970; the time of the last event when the run has not ended. */
  readonly startedAt: number;
  readonly finishedAt: number;
  /** Derivations of which a builder ran, in the order they began. */
  readonly derivations: readonly ReportedDerivation[];
  readonly totals: Readonly<Record<DerivationVerdict, number>>;
}

interface Entry {
  readonly goal: GoalId;
  kind: "check" | "rounds";
  readonly claims: Map<ClaimId, Round>;
  readonly differences: ReportedDifference[];
  end: "failed" | "cancelled" | null;
}

interface Round {
  readonly round: number;
  readonly machine: MachineId;
  verdict: ReportedRound["verdict"];
  durationMs: number | null;
  lost: boolean;
}

/** The fold. Push every event of a run in order; ask for the report at any time. */
export class ReportBuilder {
  readonly #names = new Map<GoalId, string>();
  readonly #entries = new Map<GoalId, Entry>();
  readonly #goalOf = new Map<ClaimId, GoalId>();
  #runId = "";
  #startedAt = 0;
  #finishedAt = 0;

  push({ at, event }: PublishedEvent): void {
    if (event.type === "runStarted") {
      this.#runId = event.runId;
      this.#startedAt = at;
    }
    this.#finishedAt = at;
    this.#fold(event);
  }

  report(): DeterminismReport {
    const derivations = [...this.#entries.values()].map((entry) => this.#derivation(entry));
    const count = (verdict: DerivationVerdict): number => derivations.filter((one) => one.verdict === verdict).length;
    return {
      version: REPORT_VERSION,
      runId: this.#runId,
      startedAt: this.#startedAt,
      finishedAt: this.#finishedAt,
      derivations,
      totals: {
        reproducible: count("reproducible"),
        differs: count("differs"),
        unverified: count("unverified"),
        failed: count("failed"),
        cancelled: count("cancelled"),
      },
    };
  }

  #fold(event: EngineEvent): void {
    switch (event.type) {
      case "goalsAdded":
        for (const { goal, name } of event.goals) this.#names.set(goal, name);
        return;
      case "buildAssigned": {
        const entry = this.#entry(event.goal);
        if (event.isCheck) entry.kind = "check";
        this.#goalOf.set(event.claim, event.goal);
        const { round, machine } = event;
        entry.claims.set(event.claim, { round, machine, verdict: "none", durationMs: null, lost: false });
        return;
      }
      case "buildEnded": {
        const round = this.#round(event.claim);
        if (round === null) return;
        round.durationMs = event.durationMs;
        round.lost =
          event.result.type === "cancelled" || (event.result.type === "failed" && event.result.kind === "machinery");
        return;
      }
      case "roundFinished": {
        const round = this.#round(event.claim);
        if (round !== null) round.verdict = event.verdict;
        return;
      }
      case "outputDiffered": {
        const { goal, type: _, ...difference } = event;
        this.#entry(goal).differences.push(difference);
        return;
      }
      case "goalFinished": {
        const entry = this.#entries.get(event.goal);
        const { type } = event.result;
        if (entry !== undefined) entry.end = type === "failed" || type === "cancelled" ? type : null;
        return;
      }
      case "goalReopened":
        this.#entries.delete(event.goal);
        return;
      default:
        return;
    }
  }

  #entry(goal: GoalId): Entry {
    let entry = this.#entries.get(goal);
    if (entry === undefined) {
      entry = { goal, kind: "rounds", claims: new Map(), differences: [], end: null };
      this.#entries.set(goal, entry);
    }
    return entry;
  }

  #round(claim: ClaimId): Round | null {
    const goal = this.#goalOf.get(claim);
    return goal === undefined ? null : (this.#entries.get(goal)?.claims.get(claim) ?? null);
  }

  #derivation(entry: Entry): ReportedDerivation {
    const byRound = new Map<number, Round>();
    for (const round of entry.claims.values()) {
      // A round lost to machinery was tried again; what remains is the try that counts.
      const before = byRound.get(round.round);
      if (before === undefined || before.lost || !round.lost) byRound.set(round.round, round);
    }
    const rounds = [...byRound.values()]
      .sort((one, other) => one.round - other.round)
      .map(({ round, machine, verdict, durationMs }): ReportedRound => ({ round, machine, verdict, durationMs }));
    return {
      drvPath: entry.goal,
      name: this.#names.get(entry.goal) ?? entry.goal,
      kind: entry.kind,
      verdict: verdictOf(entry, rounds),
      rounds,
      differences: entry.differences,
    };
  }
}

function verdictOf(entry: Entry, rounds: readonly ReportedRound[]): DerivationVerdict {
  if (entry.differences.length > 0 || rounds.some((round) => round.verdict === "differs")) return "differs";
  if (entry.end !== null) return entry.end;
  const compared = rounds.filter((round) => round.verdict === "same").length;
  return compared > 0 ? "reproducible" : "unverified";
}
