// What rounds and checks are compared with, and what is still being said of their differences: nothing is taken away before all is said.

import { messageOf } from "../../base/errors.ts";
import type { BasicDerivation } from "../../derivation/derivation.ts";
import { type ComparedBuild, type FirstResult, foundByHash } from "../../differences/perform/found.ts";
import { type Differences, forgetSecured, type SecuredDifference } from "../../differences/perform/runner.ts";
import type { EngineEvent, OutputPath } from "../../events/event.ts";
import type { ClaimId, GoalId, MachineId } from "../../events/ids.ts";
import { LOCAL_MACHINE } from "../../events/ids.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { PathStore } from "../../stores/store.ts";
import type { StartBuild } from "../plan/command.ts";

/** What a claim built, as it is valid on its machine. */
interface ClaimResult {
  readonly command: StartBuild;
  readonly store: PathStore;
  readonly outputs: ReadonlyMap<string, PathInfo>;
}

export interface DifferenceKeeperOptions {
  readonly differences: Differences;
  /** Whether rounds that differ are taken back. */
  readonly enforced: boolean;
  /** Whether this machine builds: then its store may write `.check` for each further round. */
  readonly buildsHere: () => boolean;
  readonly destination: PathStore;
  readonly outputsOf: (goal: GoalId) => readonly OutputPath[];
  readonly publish: (event: EngineEvent) => void;
}

/** One for a run. */
export class DifferenceKeeper {
  readonly #options: DifferenceKeeperOptions;
  readonly #results = new Map<ClaimId, ClaimResult>();
  /** What was found to differ and is not explained yet. */
  readonly #held = new Map<ClaimId, readonly SecuredDifference[]>();
  /** What is under way for a goal, one after the other. Never rejects. */
  readonly #saying = new Map<GoalId, Promise<void>>();
  readonly #abort = new AbortController();

  constructor(options: DifferenceKeeperOptions) {
    this.#options = options;
  }

  /** Notes a result of one of several rounds. */
  remember(command: StartBuild, store: PathStore, outputs: ReadonlyMap<string, PathInfo>): void {
    if (command.rounds > 1) this.#results.set(command.claim, { command, store, outputs });
  }

  /** A claim as a build that is compared; its `first` is null when the first result is not there yet. @throws what the store throws */
  async comparedBuild(
    command: StartBuild,
    derivation: BasicDerivation,
    signal: AbortSignal,
  ): Promise<Omit<ComparedBuild, "first"> & { readonly first: FirstResult | null }> {
    const { compare } = command;
    const first =
      compare.type === "check"
        ? await this.#valid(command.goal, derivation, signal)
        : compare.type === "round"
          ? this.#first(compare.first)
          : null;
    return { ...this.#build(command), first };
  }

  /** Brings the results of a difference to safety. Rejects only with the signal's reason. */
  secure(found: Parameters<Differences["secure"]>[0], signal: AbortSignal): Promise<SecuredDifference> {
    return this.#options.differences.secure(found, signal);
  }

  /** Notes what was found to differ while it was built, until the plan has it explained. */
  hold(claim: ClaimId, secured: readonly SecuredDifference[]): void {
    this.#held.set(claim, secured);
  }

  /** Says what differs, in the background. Where both rounds were built side by side, their results are found to differ and kept only now. */
  explain(goal: GoalId, first: ClaimId | null, claim: ClaimId): void {
    const held = this.#held.get(claim);
    this.#held.delete(claim);
    const { signal } = this.#abort;
    const { differences } = this.#options;
    this.#say(goal, async () => {
      const secured = held ?? (first === null ? [] : await this.#secureByHash(goal, first, claim));
      for (const difference of secured) await differences.explain(difference, signal);
    });
  }

  /** Enforced, the failure says that they differ. */
  async #secureByHash(goal: GoalId, first: ClaimId, claim: ClaimId): Promise<readonly SecuredDifference[]> {
    const result = this.#results.get(claim);
    const reference = this.#first(first);
    if (result === undefined || reference === null) return [];
    const build: ComparedBuild = { ...this.#build(result.command), first: reference };
    const { differences, enforced, publish } = this.#options;
    const secured: SecuredDifference[] = [];
    for (const found of foundByHash(build, result.store, result.outputs)) {
      const difference = await differences.secure(found, this.#abort.signal);
      secured.push(difference);
      if (enforced) continue;
      publish({
        type: "noticeRaised",
        level: "warning",
        code: "ROUNDS_DIFFER",
        message: difference.message,
        hint: null,
        cause: null,
        machine: build.machine,
        goal,
      });
    }
    return secured;
  }

  /** Settles when all is said of a goal. */
  async quiet(goal: GoalId): Promise<void> {
    await this.#saying.get(goal);
  }

  /** Settles when all is said; `cancel` kills hooks that run. What nobody wants explained any more leaves nothing behind. */
  async settled(cancel: boolean): Promise<void> {
    if (cancel) this.#abort.abort(new Error("the run ended"));
    await Promise.all(this.#saying.values());
    for (const secured of this.#held.values()) for (const difference of secured) await forgetSecured(difference);
    this.#held.clear();
  }

  #say(goal: GoalId, work: () => Promise<void>): void {
    const before = this.#saying.get(goal) ?? Promise.resolve();
    const said = before.then(work).catch((error: unknown) => {
      if (this.#abort.signal.aborted) return;
      const message = `a difference could not be explained: ${messageOf(error)}`;
      const hint = "the verdict stands; only the explanation is missing";
      const code = "ROUNDS_NOT_EXPLAINED";
      this.#options.publish({
        type: "noticeRaised",
        level: "warning",
        code,
        message,
        hint,
        cause: null,
        machine: null,
        goal,
      });
    });
    this.#saying.set(goal, said);
  }

  #build({ goal, round, rounds, machine, compare }: StartBuild): Omit<ComparedBuild, "first"> {
    const kind = compare.type === "check" ? "check" : "round";
    // Enforced, nothing is built any more after a difference.
    const slotIsReused = kind === "round" && rounds > 2 && !this.#options.enforced && this.#options.buildsHere();
    // The one result of a check is the second one.
    const number = kind === "check" ? round + 1 : round;
    return { goal, drvPath: goal as string as StorePath, kind, round: number, machine, slotIsReused };
  }

  #first(claim: ClaimId): FirstResult | null {
    const result = this.#results.get(claim);
    if (result === undefined) return null;
    const { command, store, outputs } = result;
    return { machine: command.machine, store, outputs, staysValid: !this.#options.enforced };
  }

  async #valid(goal: GoalId, derivation: BasicDerivation, signal: AbortSignal): Promise<FirstResult> {
    const { destination, outputsOf } = this.#options;
    // Every output counts, also those nobody asked for.
    const known = new Map(outputsOf(goal).map(({ name, path }) => [name, path as StorePath]));
    for (const [name, output] of derivation.outputs) if ("path" in output) known.set(name, output.path);
    const infos = await destination.queryPathInfos(known.values(), signal);
    const outputs = new Map<string, PathInfo>();
    for (const [name, path] of known) {
      const info = infos.get(path);
      if (info !== undefined) outputs.set(name, info);
    }
    const machine: MachineId = LOCAL_MACHINE;
    return { machine, store: destination, outputs, staysValid: true };
  }
}
