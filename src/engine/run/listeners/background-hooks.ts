// Makes the queue of hooks and uploads of a run out of the settings: what is queued, how each job is done, and what keeps its paths alive.
import type { Clock } from "../../base/clock.ts";
import type { Surroundings } from "../../base/surroundings.ts";
import type { LoadedConfig } from "../../config/load.ts";
import type { EngineEvent, RunOutcome } from "../../events/event.ts";
import { LOCAL_MACHINE } from "../../events/ids.ts";
import { messageNotice } from "../../events/notices.ts";
import type { EngineRequest } from "../../events/request.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { hooksDirectory, JobPerformer, JobRoots, queuedReference, queueRules, WAY_OUT } from "../../hooks/hook-jobs.ts";
import { QueueFile } from "../../hooks/job-files.ts";
import { DurableQueue, type HookWish } from "../../hooks/job-runner.ts";
import type { HookJob } from "../../hooks/jobs/job-queue.ts";
import type { OpenedDestination } from "../../stores/open/open-destination.ts";
import type { PathInfos } from "../../stores/path-infos.ts";
import { daemonRunsHook } from "../daemon-hook.ts";

export interface OpenHookQueueOptions {
  readonly config: LoadedConfig;
  readonly surroundings: Surroundings;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly runId: string;
  /** `--upload-to`, null for none. */
  readonly uploadTo: string | null;
  /** Whether a run in which a hook failed for good waits for whoever watches it (`runHeld`). */
  readonly holdWhenFailed: boolean;
  readonly destination: OpenedDestination;
  readonly infos: PathInfos;
  readonly publish: (event: EngineEvent) => void;
}

/** Requests that are answered here in any case. */
type HookRequest = Extract<EngineRequest, { type: "retryHook" | "retryHooks" }>;

/** What a run does with its queue. */
export interface RunHooks {
  /** Sees every event of the run: what was built is queued. */
  hear(event: EngineEvent): void;
  /** Answers what users ask about hooks, and while the queue is waited for whether to leave; false for every other request. */
  answer(request: EngineRequest): request is HookRequest;
  /** Waits for the queue at the end of a run; the outcome says so when something was not done. */
  drain(outcome: RunOutcome): Promise<RunOutcome>;
  close(): Promise<void>;
}

/** Opens the queue of a run once its destination is known. */
export type OpenRunHooks = (
  destination: OpenedDestination,
  infos: PathInfos,
  publish: (event: EngineEvent) => void,
) => Promise<RunHooks>;

/** What a run without a queue does: nothing can be retried, nothing is waited for. */
function noHooks(publish: OpenHookQueueOptions["publish"]): RunHooks {
  return {
    hear: () => undefined,
    answer: (request): request is HookRequest => {
      if (request.type !== "retryHook" && request.type !== "retryHooks") return false;
      publish({ type: "requestAnswered", request: request.id, done: false, message: "no hook has failed" });
      return true;
    },
    drain: async (outcome) => outcome,
    close: async () => undefined,
  };
}

/**
 * Opens the queue of a run: hooks run beside the builds (`post-build-hook-mode = queued`), results are uploaded, or an earlier run left something.
 * @throws EngineError `HOOK_QUEUE_UNWRITABLE`, those of opening the store to upload to
 */
export async function openHookQueue(options: OpenHookQueueOptions): Promise<RunHooks> {
  const { config, clock, runId, uploadTo, destination, infos, publish } = options;
  const { settings } = config;
  const directory = hooksDirectory(config);
  const wishes: HookWish[] = [];
  if (settings.postBuildHook !== null && settings.postBuildHookMode === "queued") {
    wishes.push({ kind: "postBuild", target: settings.postBuildHook });
  }
  if (uploadTo !== null) wishes.push({ kind: "upload", target: queuedReference(uploadTo, config) });
  if (wishes.length === 0 && QueueFile.waiting(directory).length === 0) return noHooks(publish);

  const notice = (message: string, hint?: string): void =>
    publish({ ...messageNotice(message, "warning", "HOOK_QUEUE"), hint: hint ?? null });
  const performer = new JobPerformer({ ...options, store: destination.store, notice });
  // A wrong address should be known before the first build, not after the last.
  if (uploadTo !== null) await performer.uploader(uploadTo, settings.store);
  const roots = new JobRoots(config, destination);
  const leaving = new AbortController();
  const queue = new DurableQueue({
    rules: queueRules(config, options.random),
    file: QueueFile.open({ directory, pid: process.pid, notice }),
    clock,
    runId,
    store: queuedReference(settings.store, config),
    wishes,
    publish,
    notice,
    wayOut: WAY_OUT,
    isGone: (job) => performer.isGone(job),
    perform: (job, logged, signal) => performer.perform(job, logged, signal),
    referencesOf: async (paths) => {
      const known = await infos.get(paths);
      return new Set([...known.values()].flatMap((info) => info.references));
    },
    keep: (job) => roots.keep(job),
    letGo: (job) => roots.letGo(job),
  });
  const exceptLocal = daemonRunsHook(config, destination);
  let draining = false;
  /** Ends the wait of a run that is held: true when something is tried again. */
  let endHold: ((isAgain: boolean) => void) | null = null;
  const hold = (): Promise<boolean> => {
    publish({ type: "runHeld", exitStatus: 1 });
    return new Promise((resolve) => {
      endHold = (isAgain) => {
        endHold = null;
        resolve(isAgain);
      };
    });
  };
  return {
    hear: (event) => {
      if (event.type !== "goalFinished" || event.result.type !== "built") return;
      const paths = event.result.outputs.map((output) => output.path as StorePath);
      const { machine } = event.result;
      const isLeft = (kind: HookJob["kind"]): boolean =>
        kind === "postBuild" && exceptLocal && machine === LOCAL_MACHINE;
      queue.built(event.goal as string as StorePath, paths, (kind) => !isLeft(kind));
    },
    answer: (request): request is HookRequest => {
      const reply = (done: boolean, message: string): true => {
        publish({ type: "requestAnswered", request: request.id, done, message });
        return true;
      };
      switch (request.type) {
        case "retryHook": {
          const obstacle = queue.retry(request.hook);
          if (obstacle === null) endHold?.(true);
          return reply(obstacle === null, obstacle ?? "tried again");
        }
        case "retryHooks": {
          const count = queue.retryAll();
          if (count > 0) endHold?.(true);
          return reply(count > 0, count > 0 ? `${count} tried again` : "no hook has failed");
        }
        case "leave":
          if (!draining) return false;
          if (endHold === null) return reply(false, "hooks and uploads are still under way; stop the run first");
          endHold(false);
          return reply(true, "the run ends");
        case "stop":
          if (!draining) return false;
          if (endHold !== null) {
            endHold(false);
            return reply(true, "the run ends");
          }
          if (request.how === "drain") return reply(true, "only queued hooks and uploads are left; they are finished");
          leaving.abort(new Error("the user did not want to wait"));
          return reply(true, "what is left stays in the queue for the next run");
        default:
          return false;
      }
    },
    drain: async (outcome) => {
      draining = true;
      if (outcome.interrupted) leaving.abort(new Error("the run was interrupted"));
      const { queued, running, retrying } = queue.counts("own");
      const waiting = queued + running + retrying;
      if (waiting > 0)
        publish({
          type: "runStageChanged",
          stage: "finishing",
          detail: waiting === 1 ? "1 hook or upload left" : `${waiting} hooks and uploads left`,
        });
      // Whoever left a run whose builds had failed has seen its hooks, too.
      const isHolding = options.holdWhenFailed && outcome.exitStatus === 0;
      const deadline = settings.postBuildHookDrainTimeout * 1000;
      const { failed, left, earlier } = await queue.drain(deadline, leaving.signal, isHolding ? hold : undefined);
      if (earlier > 0) {
        const what =
          earlier === 1 ? "1 hook or upload of an earlier run is" : `${earlier} hooks or uploads of earlier runs are`;
        notice(`${what} still not done`, WAY_OUT);
      }
      if (failed + left === 0) return outcome;
      const what = failed + left === 1 ? "1 hook or upload was" : `${failed + left} hooks or uploads were`;
      publish({
        ...messageNotice(
          `${what} not done (${failed} failed, ${left} not tried to the end)`,
          "error",
          "HOOKS_NOT_DONE",
        ),
        hint: `they stay in the queue: the next run takes them up again; ${WAY_OUT}`,
      });
      return { ...outcome, exitStatus: outcome.exitStatus === 0 ? 1 : outcome.exitStatus };
    },
    close: async () => {
      await queue.close();
      await roots.settled();
      await performer.close();
    },
  };
}
