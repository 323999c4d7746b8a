// What the demo is designed to show, and whether a run has shown it.
import type { BuildFailure, EngineEvent } from "../../events/event.ts";
import type { GoalId, MachineId } from "../../events/ids.ts";

/** The build whose connection breaks once, by the name of its derivation. */
export const BREAKS_ONCE = "cover-engraving";
/** How many derivations the demo's file makes. */
const DERIVATIONS = 25;
const FAILS = ["spell-check"];
const NOT_BUILT = ["errata"];
const DIFFERS = ["imprint"];

/** What a run of the demo came to. */
export interface DemoReport {
  /** True when everything came out as designed. */
  readonly asDesigned: boolean;
  /** The result in lines for people: what was shown, or what was not as designed. */
  readonly lines: readonly string[];
}

/** Listens to a run of the demo. */
export class DemoJudge {
  readonly #names = new Map<GoalId, string>();
  readonly #built = new Set<string>();
  readonly #failed = new Map<string, BuildFailure>();
  readonly #notBuilt = new Set<string>();
  readonly #differing = new Set<string>();
  readonly #retried = new Set<string>();
  readonly #machines = new Set<MachineId>();
  readonly #derivations = new Set<GoalId>();
  readonly #errors: string[] = [];

  /** Hears one event. */
  accept(event: EngineEvent): void {
    switch (event.type) {
      case "goalsAdded":
        for (const { goal, name, kind } of event.goals) {
          this.#names.set(goal, name);
          if (kind === "derivation") this.#derivations.add(goal);
        }
        return;
      case "goalFinished": {
        const name = this.#nameOf(event.goal);
        const { result } = event;
        if (result.type === "built") {
          this.#built.add(name);
          if (result.nonDeterministic) this.#differing.add(name);
        } else if (result.type === "failed") this.#failed.set(name, result.failure);
        else if (result.type === "notBuilt") this.#notBuilt.add(name);
        return;
      }
      case "outputDiffered":
        this.#differing.add(this.#nameOf(event.goal));
        return;
      case "buildAssigned":
        this.#machines.add(event.machine);
        if (event.attempt > 1) this.#retried.add(this.#nameOf(event.goal));
        return;
      case "noticeRaised":
        if (event.level === "error" && event.goal === null) this.#errors.push(event.message);
        return;
      default:
        return;
    }
  }

  /** @param machines names of the machines that must have had something to do */
  report(machines: readonly string[]): DemoReport {
    const wrong: string[] = this.#errors.map((message) => `error: ${message}`);
    const expect = (what: string, found: Iterable<string>, expected: readonly string[]): void => {
      const names = [...found].sort();
      if (names.join() !== [...expected].sort().join())
        wrong.push(`${what}: expected ${listed(expected)}, found ${listed(names)}`);
    };
    const special = new Set([...FAILS, ...NOT_BUILT]);
    expect("failed", this.#failed.keys(), FAILS);
    expect("not built", this.#notBuilt, NOT_BUILT);
    expect("not deterministic", this.#differing, DIFFERS);
    if (!this.#retried.has(BREAKS_ONCE))
      wrong.push(`tried again: expected ${BREAKS_ONCE}, found ${listed([...this.#retried])}`);
    for (const [name, failure] of this.#failed) {
      if (FAILS.includes(name) && failure.kind !== "final")
        wrong.push(`${name}: expected its own failure, found: ${failure.message}`);
    }
    const idle = machines.filter((machine) => !this.#machines.has(machine as MachineId));
    if (idle.length > 0) wrong.push(`builders without a build: ${listed(idle)}`);
    const total = this.#derivations.size;
    if (total !== DERIVATIONS) wrong.push(`derivations: expected ${DERIVATIONS}, found ${total}`);
    const missing = [...this.#derivations]
      .map((goal) => this.#nameOf(goal))
      .filter((name) => !special.has(name) && !this.#built.has(name));
    if (missing.length > 0) wrong.push(`built: ${listed(missing)} missing`);
    if (wrong.length > 0)
      return {
        asDesigned: false,
        lines: ["the demo did not come out as designed:", ...wrong.map((line) => `  ${line}`)],
      };
    return {
      asDesigned: true,
      lines: [
        `as designed: ${this.#built.size} built on ${machines.length} builders and here, each in two rounds;`,
        `  ${listed(FAILS)} failed, so ${listed(NOT_BUILT)} was not built; ${listed(DIFFERS)} differed between its rounds;`,
        `  the connection broke under ${BREAKS_ONCE}, which was tried again.`,
        "  The builders have ended, and nothing is kept.",
      ],
    };
  }

  #nameOf(goal: GoalId): string {
    return this.#names.get(goal) ?? goal;
  }
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}
