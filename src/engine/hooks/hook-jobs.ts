// Does the jobs of the queue of hooks: runs programs, copies paths, and keeps the paths of what waits alive.

import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { makeDirectories } from "../base/directories.ts";
import { EngineError, messageOf } from "../base/errors.ts";
import type { Surroundings } from "../base/surroundings.ts";
import { keptReference, wholeReference } from "../config/kept-reference.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { HookId } from "../events/ids.ts";
import { baseNameOf } from "../formats/store-path.ts";
import { readSecretKeyFile, signed } from "../stores/binary-cache/sign.ts";
import { openAnyStore } from "../stores/open/open-any-store.ts";
import type { DestinationStore, PathSink, PathStore } from "../stores/store.ts";
import type { HookJob, JobFailure, QueueRules } from "./jobs/job-queue.ts";
import { runPostBuildHook } from "./post-build-hook.ts";
import { Uploader } from "./uploader.ts";

/** Waits between tries of one job, in ms. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;

/** What an earlier run left is tried in so many runs' worth of tries, and for so long (ms); then it is given up. */
const RUNS = 3;
const LONGEST_AGE = 7 * 24 * 3600 * 1000;

/** The way out of a job that fails for ever. */
export const WAY_OUT =
  "'tsbuild-top hooks' lists them; 'tsbuild-top hooks retry' tries them again, 'tsbuild-top hooks drop' forgets them";

/** At the end of a kept reference from which a password or a token was left out; a fragment is part of no reference. */
const PARTIAL = "#secret";

/** A reference as the queue keeps it. */
export function queuedReference(text: string, config: LoadedConfig): string {
  const { text: kept, isPartial } = keptReference(text, config.context);
  return isPartial ? `${kept}${PARTIAL}` : kept;
}

/** Below `journal-dir`. */
export function hooksDirectory(config: LoadedConfig): string {
  return join(config.settings.journalDir, "hooks");
}

/** How often and when jobs are tried. @param random 0 ≤ x < 1 */
export function queueRules({ settings }: LoadedConfig, random: () => number): QueueRules {
  return {
    workers: Math.max(1, settings.postBuildHookWorkers),
    retries: settings.postBuildHookRetries,
    firstWaitMs: FIRST_WAIT,
    longestWaitMs: LONGEST_WAIT,
    triesOfAllRuns: RUNS * (settings.postBuildHookRetries + 1),
    longestAgeMs: LONGEST_AGE,
    random,
  };
}

export interface JobPerformerOptions {
  readonly config: LoadedConfig;
  readonly surroundings: Surroundings;
  readonly clock: Clock;
  /** `--upload-to`, null for none. */
  readonly uploadTo: string | null;
  /** The store of the settings, which is open already. */
  readonly store: PathStore;
  readonly notice: (message: string) => void;
}

/** Does the jobs: runs programs, copies paths. Stores are opened when first needed and shared. */
export class JobPerformer {
  readonly #options: JobPerformerOptions;
  readonly #uploaders = new Map<string, Promise<Uploader>>();
  readonly #sources = new Map<string, Promise<PathStore>>();
  readonly #opened: { close(): Promise<void> }[] = [];

  constructor(options: JobPerformerOptions) {
    this.#options = options;
  }

  async perform(
    job: HookJob,
    logged: (lines: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<JobFailure | null> {
    if (job.kind === "upload") return this.#upload(job, logged, signal);
    const { config, surroundings, clock } = this.#options;
    const env: Record<string, string> = {};
    for (const [name, value] of Object.entries(surroundings.environment)) if (value !== undefined) env[name] = value;
    const hook = {
      program: job.target,
      timeoutMs: config.settings.postBuildHookTimeout * 1000,
      env,
      nixConfig: [...config.userSettings].map(([name, value]) => `${name} = ${value}\n`).join(""),
      cwd: surroundings.cwd,
      clock,
    };
    const { failure } = await runPostBuildHook(hook, job.drvPath, job.paths, logged, signal);
    return failure === null ? null : { reason: failure, passing: false };
  }

  async #upload(
    job: HookJob,
    logged: (lines: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<JobFailure | null> {
    const to = this.#whole(job.target);
    if (to === null) {
      const reason = `who may write to '${job.target}' is not kept; give the address again: --upload-to URI`;
      return { reason, passing: true, uselessFor: "run" };
    }
    try {
      const uploader = await this.uploader(to, this.#whole(job.store) ?? job.store);
      await uploader.upload(job.paths, logged, signal);
      return null;
    } catch (error) {
      // The way there is gone, not the place.
      return { reason: messageOf(error), passing: error instanceof EngineError && error.family === "transport" };
    }
  }

  /** Whether a job's paths are still there: what an earlier run left may have been deleted since. Unknown is yes. */
  async isGone(job: HookJob): Promise<boolean> {
    try {
      const store = await this.#source(this.#whole(job.store) ?? job.store);
      return (await store.queryValidPaths(job.paths)).size < job.paths.length;
    } catch {
      return false;
    }
  }

  /** A reference as the queue keeps it, with the secrets of today's configuration. */
  #whole(kept: string): string | null {
    const { config, uploadTo } = this.#options;
    const { store, substituters } = config.settings;
    const isPartial = kept.endsWith(PARTIAL);
    const text = isPartial ? kept.slice(0, -PARTIAL.length) : kept;
    const candidates = [...(uploadTo === null ? [] : [uploadTo]), store, ...substituters];
    return wholeReference({ text, isPartial }, candidates, config.context);
  }

  /** The way from one store to another. A failure to open is forgotten, so that the next try may do better. */
  uploader(to: string, from: string): Promise<Uploader> {
    const key = `${from}\n${to}`;
    const known = this.#uploaders.get(key);
    if (known !== undefined) return known;
    const opening = this.#open(to, from);
    this.#uploaders.set(key, opening);
    opening.catch(() => this.#uploaders.delete(key));
    return opening;
  }

  async #open(to: string, from: string): Promise<Uploader> {
    const source = await this.#source(from);
    const { store: target } = await this.#openStore(to);
    const keys = this.#options.config.settings.secretKeyFiles.map(readSecretKeyFile);
    return new Uploader({ from: source, to: target, sign: (info) => signed(info, keys) });
  }

  async #source(reference: string): Promise<PathStore> {
    const { config, store } = this.#options;
    const { text } = keptReference(reference, config.context);
    if (text === keptReference(config.settings.store, config.context).text) return store;
    const known = this.#sources.get(text);
    if (known !== undefined) return known;
    const opening = this.#openStore(reference).then((opened) => opened.store);
    this.#sources.set(text, opening);
    opening.catch(() => this.#sources.delete(text));
    return opening;
  }

  async #openStore(text: string): Promise<{ readonly store: PathStore & PathSink }> {
    const { config, surroundings, clock, notice } = this.#options;
    const opened = await openAnyStore(text, config, surroundings, clock, notice, "made");
    this.#opened.push(opened);
    return opened;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#opened.map((store) => store.close()));
  }
}

/** The store whose paths are kept, and the directory that holds its `nix/store`, null for `/`. */
interface RootedStore {
  readonly store: Pick<DestinationStore, "addIndirectRoot">;
  readonly root: string | null;
}

/** Links to the paths of jobs that are roots of the garbage collector: the next run must still find them. */
export class JobRoots {
  readonly #directory: string;
  readonly #destination: RootedStore | null;
  /** The latest change of each job's links; one after the other. */
  readonly #changes = new Map<HookId, Promise<void>>();

  /** @param destination null: nothing is kept any more, only let go */
  constructor(config: LoadedConfig, destination: RootedStore | null) {
    this.#directory = join(hooksDirectory(config), "roots");
    this.#destination = destination;
  }

  keep(job: HookJob): Promise<void> {
    return this.#change(job, async (folder) => {
      if (this.#destination === null) return;
      const { store, root } = this.#destination;
      makeDirectories(folder);
      for (const path of job.paths) {
        const link = join(folder, baseNameOf(path));
        await symlink(root === null ? path : join(root, path), link);
        await store.addIndirectRoot(link);
      }
    });
  }

  letGo(job: HookJob): Promise<void> {
    return this.#change(job, (folder) => rm(folder, { recursive: true, force: true }));
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#changes.values());
  }

  #change(job: HookJob, work: (folder: string) => Promise<void>): Promise<void> {
    const before = this.#changes.get(job.id) ?? Promise.resolve();
    const change = before.catch(() => undefined).then(() => work(join(this.#directory, job.id)));
    this.#changes.set(job.id, change);
    return change;
  }
}
