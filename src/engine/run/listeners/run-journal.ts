// A run's journal: takes up what an earlier run of the same goals left, and writes down this one's before anything is sent.
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { EngineEvent } from "../../events/event.ts";
import { type GoalId, LOCAL_MACHINE } from "../../events/ids.ts";
import { messageNotice, noticeOf } from "../../events/notices.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { createJournal, type DeadRun, type Journal, removeOld, removeRun, takeOver } from "../../memory/journal.ts";
import { Leftover } from "../../memory/records/leftover.ts";
import { isSameGoals, type LeftBuild, type RunGoals, recordOfEvent } from "../../memory/records/record.ts";
import type { ResumedGoal } from "../../scheduler/plan/options.ts";
import type { OpenedDestination } from "../../stores/open/open-destination.ts";
import type { DerivedPath } from "../../stores/store.ts";
import type { RunPlan } from "../plan-run.ts";

export interface RunJournalOptions {
  /** `journal-dir`. */
  readonly directory: string;
  readonly runId: string;
  readonly store: string;
  readonly targets: readonly DerivedPath[];
  readonly isCheck: boolean;
  readonly clock: Clock;
  readonly publish: (event: EngineEvent) => void;
}

/** What was left of earlier runs, and what becomes of this one. */
export class RunJournal {
  readonly #options: RunJournalOptions;
  readonly #goals: RunGoals;
  readonly #folder: string;
  readonly #dead: readonly DeadRun[];
  readonly #left = new Map<GoalId, LeftBuild>();
  #own: { readonly journal: Journal; readonly leftover: Leftover } | null = null;

  /** Takes over what there is; nothing is written before {@link RunJournal.begin}. */
  constructor(options: RunJournalOptions) {
    this.#options = options;
    this.#folder = join(options.directory, "runs");
    const targets = [...new Set(options.targets.map(targetText))].sort();
    this.#goals = { store: options.store, targets, isCheck: options.isCheck };
    this.#dead = takeOver(this.#folder, (goals) => isSameGoals(goals, this.#goals));
    for (const { records } of this.#dead) {
      const leftover = new Leftover();
      for (const record of records) leftover.take(record);
      for (const build of leftover.builds()) this.#left.set(build.goal, build);
    }
  }

  /**
   * Derivations of which this machine may have an output that was never compared with other rounds: it must not be taken for a result of them.
   */
  unverified(): readonly GoalId[] {
    return [...this.#left.values()].filter((build) => build.isUnverified).map((build) => build.goal);
  }

  /** Begins this run's own journal, with what is left of earlier ones, and says what is continued. `builds` are those that are to be made now. */
  begin(builds: readonly GoalId[]): ReadonlyMap<GoalId, ResumedGoal> {
    const { clock, runId, publish } = this.#options;
    const at = clock.wallTime();
    const wanted = new Set(builds);
    const left = [...this.#left.values()].filter((build) => wanted.has(build.goal));
    const total = this.#dead.reduce((most, run) => Math.max(most, run.builds), builds.length);
    const leftover = new Leftover();
    const carried = left.map((build) => ({ type: "carried", at, build }) as const);
    for (const record of carried) leftover.take(record);
    try {
      const start = { type: "runStarted", at, runId, goals: this.#goals, builds: total } as const;
      this.#own = { journal: createJournal(this.#folder, [start, ...carried]), leftover };
      for (const run of this.#dead) removeRun(run);
      removeOld(this.#folder, at);
    } catch (error) {
      publish(noticeOf(error, "warning"));
    }
    for (const { file, damaged } of this.#dead) {
      if (damaged.length > 0) publish(messageNotice(damagedMessage(file, damaged), "warning", "JOURNAL_DAMAGED"));
    }
    const last = this.#dead.at(-1);
    if (last !== undefined && builds.length > 0) {
      publish(messageNotice(continuedMessage(last, total, builds.length, left), "info", "RUN_CONTINUED"));
    }
    return new Map(left.map((build) => [build.goal, resumedGoal(build)]));
  }

  /** To be told every event, before what it speaks of is done. */
  hear(event: EngineEvent): void {
    if (this.#own === null) return;
    const record = recordOfEvent(event, this.#options.clock.wallTime());
    if (record === null) return;
    const { journal, leftover } = this.#own;
    if (record.type === "goalFinished" && !leftover.has(record.goal)) return;
    leftover.take(record);
    try {
      journal.append([record]);
    } catch (error) {
      // It is for the worst case only: the builds go on without it.
      this.#own = null;
      this.#close(journal, false);
      this.#options.publish(noticeOf(error, "warning"));
    }
  }

  /** The run has ended in an orderly way: what it left is kept for the next one, and else nothing. */
  end(exitStatus: number): void {
    if (this.#own === null) return;
    const { journal, leftover } = this.#own;
    this.#own = null;
    const isDone = leftover.builds().length === 0;
    try {
      if (!isDone) journal.append([{ type: "runFinished", at: this.#options.clock.wallTime(), exitStatus }]);
    } catch {
      // The next run takes it for interrupted, which comes to the same.
    }
    this.#close(journal, isDone);
  }

  #close(journal: Journal, discard: boolean): void {
    try {
      journal.close(discard);
    } catch (error) {
      this.#options.publish(messageNotice(`${journal.file}: ${messageOf(error)}`, "warning", "JOURNAL_UNWRITABLE"));
    }
  }
}

function targetText(target: DerivedPath): string {
  if (target.type === "opaque") return target.path;
  return `${target.drvPath}^${target.outputs === "all" ? "*" : [...target.outputs].sort().join(",")}`;
}

/** What the scheduler makes of it: this machine's own builds died with the program, and there is nothing to look for. */
function resumedGoal({ machine, isBuilt, failures }: LeftBuild): ResumedGoal {
  return { machine: machine === LOCAL_MACHINE ? null : machine, isBuilt, failures };
}

function continuedMessage(last: DeadRun, total: number, toBuild: number, left: readonly LeftBuild[]): string {
  const wasStopped = last.records.at(-1)?.type === "runFinished";
  const away = left.filter(({ machine }) => machine !== null && machine !== LOCAL_MACHINE).length;
  const here = left.filter(({ machine }) => machine === LOCAL_MACHINE).length;
  const places = [
    ...(away > 0 ? [`${away} ${away === 1 ? "was" : "were"} on builders`] : []),
    ...(here > 0 ? [`${here} ${here === 1 ? "was" : "were"} being built here`] : []),
  ];
  const words = [`${Math.max(0, total - toBuild)} of ${total} done`, ...places].join(", ");
  return `continuing a run ${wasStopped ? "stopped" : "interrupted"} at ${timeText(last.endedAt)}: ${words}`;
}

function damagedMessage(file: string, damaged: readonly string[]): string {
  const more = damaged.length > 1 ? ` and ${damaged.length - 1} more` : "";
  return `the journal of an earlier run is damaged and that part left out: ${file}, ${damaged[0]}${more}`;
}

/** Local time, `2026-11-23 21:04:11`. */
function timeText(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * Deletes what an interrupted run left valid without having compared it: rounds begin anew. True when something was deleted and the plan must be
 * made again; what cannot be deleted is said.
 */
export async function takeBackUnverified(
  journal: RunJournal,
  plan: RunPlan,
  destination: OpenedDestination,
  publish: (event: EngineEvent) => void,
): Promise<boolean> {
  let isChanged = false;
  for (const goal of journal.unverified()) {
    const paths = plan.realisations.outputs(goal as string as StorePath);
    const valid = await destination.store.queryValidPaths(paths);
    if (valid.size === 0) continue;
    try {
      await destination.store.deletePaths([...valid], true);
      isChanged = true;
    } catch (error) {
      publish({
        ...messageNotice(`outputs that were never compared stay valid: ${messageOf(error)}`, "warning"),
        code: "OUTPUTS_NOT_TAKEN_BACK",
        hint: `compare them with: tsbuild-top --check '${goal}^*'`,
        goal,
      });
    }
  }
  return isChanged;
}
