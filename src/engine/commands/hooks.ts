// `hooks`: the queue of hooks and uploads that are not done, over all runs: listed, tried now, or forgotten.
import { type Clock, systemClock } from "../base/clock.ts";
import { EngineError } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { loadConfig } from "../config/load.ts";
import type { HookEvent } from "../events/event.ts";
import { hooksDirectory, JobPerformer, JobRoots, queueRules, WAY_OUT } from "../hooks/hook-jobs.ts";
import { type OwnedJob, QueueFile } from "../hooks/job-files.ts";
import { DurableQueue } from "../hooks/job-runner.ts";
import type { HookJob } from "../hooks/jobs/job-queue.ts";
import { openAnyStore } from "../stores/open/open-any-store.ts";
import { PathInfos } from "../stores/path-infos.ts";

/** Which jobs: named by their ids or by the derivations they are for, or all. */
export type HookChoice = { readonly type: "all" } | { readonly type: "named"; readonly names: readonly string[] };

export interface HooksRequest {
  readonly settingsOverrides: ReadonlyMap<string, string>;
  readonly choice: HookChoice;
}

/** A job that is not done. */
export interface ListedHook {
  readonly id: string;
  readonly kind: "postBuild" | "upload";
  readonly drvPath: string;
  readonly paths: readonly string[];
  /** The program, or the URI without passwords. */
  readonly target: string;
  readonly store: string;
  /** `running`: a run that is under way has it. `waiting`: the next run tries it. */
  readonly state: "running" | "waiting" | "givenUp";
  /** The process of that run. */
  readonly pid: number | null;
  /** Failed tries so far, over all runs. */
  readonly attempts: number;
  readonly reason: string | null;
  /** Wall times in ms: when it was made, and when it is tried next; null where no time is set. */
  readonly since: number | null;
  readonly nextAt: number | null;
}

/** What there is. @throws EngineError of family `config` */
export function listHooks(overrides: ReadonlyMap<string, string>): {
  readonly hooks: readonly ListedHook[];
  readonly problems: readonly string[];
} {
  const { jobs, problems } = QueueFile.all(hooksDirectory(loadConfig(overrides)));
  return { hooks: jobs.map(listed), problems };
}

/**
 * Forgets jobs; nothing that was built is touched. Says which.
 * @throws EngineError `HOOKS_UNKNOWN` for a name no job has, `HOOKS_OWNED` for one that a run has under way
 */
export async function dropHooks(request: HooksRequest, notice: (message: string) => void): Promise<ListedHook[]> {
  const config = loadConfig(request.settingsOverrides);
  const directory = hooksDirectory(config);
  const chosen = choose(directory, request.choice);
  if (chosen.size === 0) return [];
  const file = QueueFile.open({ directory, pid: process.pid, notice });
  const roots = new JobRoots(config, null);
  const dropped: ListedHook[] = [];
  for (const kept of file.left) {
    if (!chosen.has(kept.job.id)) continue;
    file.done(kept.job.id);
    await roots.letGo(kept.job).catch(() => undefined);
    dropped.push(listed({ ...kept, pid: null }));
  }
  file.close();
  return dropped;
}

/**
 * Tries jobs now, given up or not, as the run would have that made them.
 * @returns how many are done, and how many are not
 * @throws EngineError as {@link dropHooks}; those of opening the store
 */
export async function retryHooks(
  request: HooksRequest & { readonly uploadTo: string | null },
  surroundings: Surroundings,
  report: { readonly event: (event: HookEvent) => void; readonly warned: (message: string, hint?: string) => void },
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<{ readonly done: number; readonly left: number }> {
  const config = loadConfig(request.settingsOverrides);
  const directory = hooksDirectory(config);
  const chosen = choose(directory, request.choice);
  if (chosen.size === 0) return { done: 0, left: 0 };
  const notice = report.warned;
  const opened = await openAnyStore(config.settings.store, config, surroundings, clock, notice);
  const performer = new JobPerformer({
    config,
    surroundings,
    clock,
    uploadTo: request.uploadTo,
    store: opened.store,
    notice,
  });
  const infos = new PathInfos(opened.store);
  const roots = new JobRoots(config, null);
  const isChosen = (job: HookJob): boolean => chosen.has(job.id);
  try {
    const queue = new DurableQueue({
      rules: queueRules(config, Math.random),
      file: QueueFile.open({ directory, pid: process.pid, notice }),
      clock,
      notice,
      wishes: [],
      wayOut: WAY_OUT,
      runId: "retry",
      store: config.settings.store,
      publish: report.event,
      isAsked: isChosen,
      isLeftAlone: (job) => !isChosen(job),
      isGone: (job) => performer.isGone(job),
      perform: (job, logged, ended) => performer.perform(job, logged, ended),
      referencesOf: async (paths) => {
        const known = await infos.get(paths);
        return new Set([...known.values()].flatMap((info) => info.references));
      },
      keep: (job) => roots.keep(job),
      letGo: (job) => roots.letGo(job),
    });
    try {
      const { done, failed, left } = await queue.drain(0, signal);
      return { done, left: failed + left };
    } finally {
      await queue.close();
      await roots.settled();
    }
  } finally {
    await performer.close();
    await opened.close();
  }
}

/** The ids of what is meant, as far as no run has it. */
function choose(directory: string, choice: HookChoice): ReadonlySet<string> {
  const { jobs } = QueueFile.all(directory);
  const chosen = new Set<string>();
  if (choice.type === "all") {
    for (const { job, pid } of jobs) if (pid === null) chosen.add(job.id);
    return chosen;
  }
  for (const name of choice.names) {
    const meant = jobs.filter(({ job }) => job.id === name || job.drvPath === name);
    if (meant.length === 0)
      throw new EngineError("usage", "HOOKS_UNKNOWN", `there is no hook or upload '${name}' that is not done`, {
        hint: "'tsbuild-top hooks' lists them; name one by its id or its derivation",
      });
    const owned = meant.find(({ pid }) => pid !== null);
    if (owned !== undefined)
      throw new EngineError("usage", "HOOKS_OWNED", `'${name}' belongs to a run under way (process ${owned.pid})`, {
        hint: "try it again on the board of that run ('r'), or wait until it has ended",
      });
    for (const { job } of meant) chosen.add(job.id);
  }
  return chosen;
}

function listed({ job, record, pid }: OwnedJob): ListedHook {
  const { attempts, reason, since, nextAt, isGivenUp } = record;
  const state = isGivenUp ? "givenUp" : pid === null ? "waiting" : "running";
  return { ...job, state, pid, attempts, reason, since, nextAt: pid === null ? null : nextAt };
}
