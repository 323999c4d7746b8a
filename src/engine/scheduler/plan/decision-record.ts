// A run's decisions as lines of text, with all they were made from: replayed, the same facts must give the same decisions, to the letter.
import { EngineError } from "../../base/errors.ts";
import type { GoalId } from "../../events/ids.ts";
import { type Decision, decide } from "./decide.ts";
import type { Fact, GoalSpec, MachineSpec } from "./fact.ts";
import type { PlanOptions, ResumedGoal } from "./options.ts";
import { createPlan } from "./state/plan.ts";
import type { Now } from "./state/turn.ts";

/** Raised with every change of the lines, and of what decisions are. */
const VERSION = 2;

/** Takes lines without their ends. */
export type WriteLine = (line: string) => void;

/** Writes decisions down. */
export interface DecisionRecorder {
  /** To be used by the plan instead of the options given: what was learned from their functions is written down with the rest. */
  readonly options: PlanOptions;
  record(fact: Fact, now: Now, decision: Decision): void;
}

/** Begins a record. `machineSigns` and `carriesSignature` cannot be written down: they must be functions of the program itself. */
export function recordDecisions(options: PlanOptions, write: WriteLine): DecisionRecorder {
  const { durations, machineSigns, carriesSignature, resumed, ...plain } = options;
  write(print({ version: VERSION, options: plain, resumed: [...resumed] }));
  const asked = new Map<string, number | null>();
  const remembered = (goal: GoalSpec, machine: MachineSpec): number | null => {
    const key = keyOf(goal, machine);
    const known = asked.get(key);
    if (known !== undefined) return known;
    const answer = durations(goal, machine);
    asked.set(key, answer);
    write(print({ duration: key, ms: answer }));
    return answer;
  };
  return {
    options: { ...options, durations: remembered },
    record: (fact, now, decision) => write(print({ now, fact, decision })),
  };
}

/** The first decision that came out differently. */
export interface DifferentDecision {
  /** 1-based line of the record. */
  readonly line: number;
  readonly fact: Fact;
  readonly recorded: string;
  readonly found: string;
}

/**
 * Decides again by a record; returns how many decisions were made and the first that differs, null when all are the same.
 * @param rest the options that cannot be written down
 * @throws EngineError `DECISIONS_MALFORMED`
 */
export function replayDecisions(
  lines: readonly string[],
  rest: Pick<PlanOptions, "machineSigns" | "carriesSignature">,
): { readonly decisions: number; readonly different: DifferentDecision | null } {
  const parsed = lines.filter((line) => line !== "").map((line, index) => parse(line, index + 1));
  const [head] = parsed;
  if (head?.version !== VERSION) {
    throw new EngineError("format", "DECISIONS_MALFORMED", `expected a record of decisions of version ${VERSION}`);
  }
  const durations = new Map<string, number | null>();
  for (const { duration, ms } of parsed) if (duration !== undefined) durations.set(duration, ms ?? null);
  const plan = createPlan({
    ...head.options,
    ...rest,
    resumed: new Map(head.resumed),
    durations: (goal, machine) => durations.get(keyOf(goal, machine)) ?? null,
  });
  let decisions = 0;
  for (const [index, { fact, now, decision }] of parsed.entries()) {
    if (fact === undefined || now === undefined) continue;
    const found = print(decide(plan, fact, now));
    const recorded = print(decision);
    decisions += 1;
    if (found !== recorded) return { decisions, different: { line: index + 1, fact, recorded, found } };
  }
  return { decisions, different: null };
}

interface Line {
  readonly version?: number;
  readonly options?: Partial<PlanOptions>;
  readonly resumed?: readonly (readonly [GoalId, ResumedGoal])[];
  readonly duration?: string;
  readonly ms?: number | null;
  readonly fact?: Fact;
  readonly now?: Now;
  readonly decision?: Decision;
}

function keyOf(goal: GoalSpec, machine: MachineSpec): string {
  return `${goal.goal} ${machine.machine}`;
}

/** JSON; numbers of 64 bits as `{"u64":"…"}`. */
function print(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? { u64: String(each) } : each));
}

function parse(line: string, number: number): Line {
  try {
    return JSON.parse(line, (_, each: unknown) => (isWide(each) ? BigInt(each.u64) : each)) as Line;
  } catch (cause) {
    throw new EngineError("format", "DECISIONS_MALFORMED", `line ${number}: not a line of JSON`, { cause });
  }
}

function isWide(value: unknown): value is { readonly u64: string } {
  return typeof value === "object" && value !== null && "u64" in value && typeof value.u64 === "string";
}
