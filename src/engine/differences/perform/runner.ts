// What follows a difference: the other result is kept, the diff hook or the built-in summary explains it, events tell of both.
import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { EngineEvent } from "../../events/event.ts";
import type { HookId, MachineId } from "../../events/ids.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { dumpPath } from "../../stores/embedded/files/dump.ts";
import { summarise } from "../explain/summary.ts";
import { type DiffHookSettings, runDiffHook } from "../hook/diff-hook.ts";
import {
  discardKept,
  isOnDisk,
  type KeepPlaces,
  keepOnDisk,
  keepResult,
  keptSuffix,
  narIdentity,
} from "../keep/keep.ts";
import { type ResultPlace, readResult } from "../keep/other-result.ts";
import { differenceMessage, type FoundDifference, validPlace } from "./found.ts";

/** What {@link Differences} is given. */
export interface DifferencesOptions {
  readonly clock: Clock;
  readonly publish: (event: EngineEvent) => void;
  /** Whether results are kept for the user to look at: `keep-failed`. A diff hook keeps them as well. */
  readonly keepFailed: boolean;
  /** Null runs none: then the built-in summary explains. */
  readonly hook: DiffHookSettings | null;
  readonly places: KeepPlaces;
  /** Where a path of the destination store lies on this machine's disk, null when it does not. */
  readonly onDisk: (path: StorePath) => string | null;
  /** The host a machine is, for the guess that an output holds its name. */
  readonly hostName: (machine: MachineId) => string;
}

/** A difference whose results are safe from later builds. */
export interface SecuredDifference {
  readonly found: FoundDifference;
  /** Nix's words for it. */
  readonly message: string;
  /** Where the first result is: its store path, or where it is kept. */
  readonly firstPath: string;
  /** Where the other result is kept; null when it is not. */
  readonly otherPath: string | null;
  /** Null when the hook or {@link Differences.explain} has still to say it. */
  readonly summary: readonly string[] | null;
  /** Places that go when all is said. */
  readonly passing: readonly string[];
}

/** Removes what was kept for explaining alone. */
export async function forgetSecured({ passing }: SecuredDifference): Promise<void> {
  for (const place of passing) await discardKept(place);
}

/** One object for a run. */
export class Differences {
  readonly #options: DifferencesOptions;
  readonly #keeps: boolean;
  #hooks = 0;

  constructor(options: DifferencesOptions) {
    this.#options = options;
    this.#keeps = options.keepFailed || options.hook !== null;
  }

  /**
   * Brings the results where nothing can take them away: to be awaited before the machine builds the same derivation again, and before the first
   * result is taken back. A result that cannot be had is a notice, not a failure. Rejects only with the signal's reason.
   */
  async secure(found: FoundDifference, signal: AbortSignal): Promise<SecuredDifference> {
    try {
      return this.#keeps ? await this.#keep(found, signal) : await this.#look(found, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#notice(
        found,
        "ROUNDS_RESULT_NOT_KEPT",
        `the other result of '${found.path}' could not be had: ${messageOf(error)}`,
      );
      return {
        found,
        message: differenceMessage(found, null),
        firstPath: found.path,
        otherPath: null,
        summary: [],
        passing: [],
      };
    }
  }

  /** Says what differs: publishes `outputDiffered`, then runs the hook. Rejects only with the signal's reason. */
  async explain(secured: SecuredDifference, signal: AbortSignal): Promise<void> {
    const { found, firstPath, otherPath } = secured;
    const { build, output } = found;
    const { hook } = this.#options;
    try {
      const hooked = hook !== null && otherPath !== null;
      const summary =
        secured.summary ?? (hooked || otherPath === null ? [] : await this.#summaryOfKept(secured, signal));
      this.#options.publish({
        type: "outputDiffered",
        goal: build.goal,
        output,
        // What is kept for the hook alone is gone afterwards; the first result is, or will be, at its own place.
        firstPath: secured.passing.includes(firstPath) ? found.path : firstPath,
        otherPath,
        round: build.round,
        firstMachine: build.first.machine,
        otherMachine: build.machine,
        summary,
      });
      if (hooked) await this.#runHook(hook, secured, otherPath, signal);
    } finally {
      await forgetSecured(secured);
    }
    signal.throwIfAborted();
  }

  /** Keeps the other result, and the first one where it will not stay or a hook could not read it. */
  async #keep(found: FoundDifference, signal: AbortSignal): Promise<SecuredDifference> {
    const { build, path } = found;
    const { places, hook } = this.#options;
    const suffix = keptSuffix(build.round, build.slotIsReused);
    const firstHash = this.#firstHash(found);
    const otherPath = await this.#firstThatDiffers(found, async (candidate) => {
      const kept =
        candidate.type === "onDisk"
          ? await keepOnDisk(places, path, suffix, candidate.path)
          : await keepResult(places, path, suffix, readResult(candidate, signal));
      if (kept.narHash !== firstHash) return kept.path;
      await discardKept(kept.path);
      return null;
    });
    const message = differenceMessage(found, otherPath);
    if (otherPath === null) return { found, message, firstPath: path, otherPath, summary: [], passing: [] };

    const there = await this.#firstOnDisk(found);
    const { staysValid } = build.first;
    if (there !== null && staysValid)
      return { found, message, firstPath: there, otherPath, summary: null, passing: [] };
    if (hook === null && staysValid) return { found, message, firstPath: path, otherPath, summary: null, passing: [] };
    const first = await keepResult(
      places,
      path,
      keptSuffix(1, false),
      readResult(this.#firstPlace(found, there), signal),
    );
    return { found, message, firstPath: first.path, otherPath, summary: null, passing: staysValid ? [first.path] : [] };
  }

  /** Nothing is to be kept: both results are looked at where they lie, while they do. */
  async #look(found: FoundDifference, signal: AbortSignal): Promise<SecuredDifference> {
    const { path } = found;
    const there = await this.#firstOnDisk(found);
    const left: string[] = [];
    const lines = await this.#firstThatDiffers(found, async (candidate) => {
      // Nix leaves no `.check` unless somebody asked for it, and we asked only to look.
      if (candidate.type === "onDisk") left.push(candidate.path);
      const first = readResult(this.#firstPlace(found, there), signal);
      const { lines, total } = await summarise(first, readResult(candidate, signal), this.#guessContext(found));
      return total > 0 ? lines : null;
    });
    for (const place of left) await discardKept(place);
    return {
      found,
      message: differenceMessage(found, null),
      firstPath: path,
      otherPath: null,
      summary: lines ?? [],
      passing: [],
    };
  }

  /** What `use` makes of the first candidate it accepts. Throws the last failure when none could be read; null when none differs. */
  async #firstThatDiffers<T>(
    found: FoundDifference,
    use: (candidate: ResultPlace) => Promise<T | null>,
  ): Promise<T | null> {
    let failure: unknown = null;
    for (const candidate of found.candidates) {
      if (candidate.type === "onDisk" && !(await isOnDisk(candidate.path))) continue;
      try {
        const made = await use(candidate);
        if (made !== null) return made;
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== null) throw failure;
    return null;
  }

  async #summaryOfKept(secured: SecuredDifference, signal: AbortSignal): Promise<readonly string[]> {
    const { found, firstPath, otherPath } = secured;
    const onDisk = firstPath === found.path ? await this.#firstOnDisk(found) : firstPath;
    try {
      const first = readResult(this.#firstPlace(found, onDisk), signal);
      return (await summarise(first, dumpPath(otherPath!), this.#guessContext(found))).lines;
    } catch (error) {
      signal.throwIfAborted();
      return [`the results could not be compared: ${messageOf(error)}`];
    }
  }

  async #runHook(
    settings: DiffHookSettings,
    secured: SecuredDifference,
    other: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { found, firstPath } = secured;
    const { publish } = this.#options;
    const hook = `diff${++this.#hooks}` as HookId;
    publish({ type: "hookQueued", hook, kind: "diff", goal: found.build.goal, paths: [firstPath, other] });
    publish({ type: "hookStarted", hook, attempt: 1 });
    const end = await runDiffHook(
      settings,
      {
        first: firstPath,
        other,
        drvPath: found.build.drvPath,
        buildDirectory: null,
        logged: (lines) => publish({ type: "hookLogged", hook, lines }),
      },
      signal,
    );
    const { failure, durationMs } = end;
    publish({
      type: "hookFinished",
      hook,
      result: failure === null ? { type: "succeeded", durationMs } : { type: "failed", reason: failure },
    });
  }

  /** The first result's place on our disk; null when it is not there, or what is there is something else. */
  async #firstOnDisk(found: FoundDifference): Promise<string | null> {
    const place = this.#options.onDisk(found.path);
    if (place === null || !(await isOnDisk(place))) return null;
    return (await narIdentity(dumpPath(place))).narHash === this.#firstHash(found) ? place : null;
  }

  #firstPlace({ build, output }: FoundDifference, onDisk: string | null): ResultPlace {
    if (onDisk !== null) return { type: "onDisk", path: onDisk };
    return validPlace(build.first.store, build.first.outputs.get(output)!);
  }

  #firstHash({ build, output }: FoundDifference): string {
    return Buffer.from(build.first.outputs.get(output)!.narHash).toString("hex");
  }

  #guessContext({ build }: FoundDifference): { readonly hostNames: readonly string[]; readonly builtAt: number } {
    const machines = [build.first.machine, build.machine];
    return { hostNames: machines.map(this.#options.hostName), builtAt: this.#options.clock.wallTime() };
  }

  #notice({ build }: FoundDifference, code: string, message: string): void {
    const hint = "the verdict stands; only the explanation is missing";
    this.#options.publish({
      type: "noticeRaised",
      cause: null,
      level: "warning",
      code,
      message,
      hint,
      machine: build.machine,
      goal: build.goal,
    });
  }
}
