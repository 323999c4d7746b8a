// Remembers how long builds took and tells the plan how long they usually take.
import type { Clock } from "../../base/clock.ts";
import type { ClaimId, GoalId } from "../../events/ids.ts";
import type { EndedBuild, History } from "../../memory/history-store.ts";
import type { Command } from "../../scheduler/plan/command.ts";
import type { Fact, GoalSpec, MachineSpec } from "../../scheduler/plan/fact.ts";

/** What ended is written down together, at the latest after this time. */
const WRITE_AFTER_MS = 5_000;

/** The history of past runs, kept up by the facts and commands of this one. */
export class Durations {
  readonly #history: History;
  readonly #clock: Clock;
  readonly #names: ReadonlyMap<GoalId, string>;
  readonly #speeds = new Map<string, number>();
  readonly #ended: EndedBuild[] = [];
  #cancelWrite: (() => void) | null = null;
  readonly #claims = new Map<ClaimId, { readonly name: string; readonly machine: string }>();

  constructor(history: History, clock: Clock, goals: readonly GoalSpec[], machines: readonly MachineSpec[]) {
    this.#history = history;
    this.#clock = clock;
    this.#names = new Map(goals.map((goal) => [goal.goal, goal.name]));
    for (const machine of machines) this.#speeds.set(machine.machine, machine.speedFactor);
    history.load(goals.map((goal) => goal.name));
  }

  /** Usual duration in ms, null when nothing is known. */
  expected(goal: GoalSpec, machine: MachineSpec): number | null {
    return this.#history.expected(goal.name, machine.machine, machine.speedFactor);
  }

  /** To be told every command: which build is where. */
  hearCommand(command: Command): void {
    if (command.type !== "startBuild") return;
    const name = this.#names.get(command.goal);
    if (name !== undefined) this.#claims.set(command.claim, { name, machine: command.machine });
  }

  /** To be told every fact: what ended well is remembered. */
  hearFact(fact: Fact): void {
    if (fact.type !== "claimBuilt" || !fact.executed) return;
    const claim = this.#claims.get(fact.claim);
    if (claim === undefined) return;
    const speedFactor = this.#speeds.get(claim.machine) ?? 1;
    const { durationMs } = fact;
    this.#ended.push({ ...claim, durationMs, speedFactor, endedAt: this.#clock.wallTime() });
    this.#cancelWrite ??= this.#clock.after(WRITE_AFTER_MS, () => this.#write());
  }

  close(): void {
    this.#write();
    this.#history.close();
  }

  #write(): void {
    this.#cancelWrite?.();
    this.#cancelWrite = null;
    this.#history.record(this.#ended.splice(0));
  }
}
