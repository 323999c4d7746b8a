// Performs what the scheduler decides: facts in, commands out to machines, stores and hooks. No choice is made here.
import { messageOf } from "../../base/errors.ts";
import type { ReadyDerivation } from "../../derivation/output-paths.ts";
import type { RunOutcome } from "../../events/event.ts";
import type { ClaimId, GoalId, HookId } from "../../events/ids.ts";
import type { PathInfo } from "../../formats/path-info.ts";
import { baseNameOf, type StorePath } from "../../formats/store-path.ts";
import type { BuildLog } from "../../memory/log-keeper.ts";
import type { Command, StartBuild } from "../plan/command.ts";
import { decide } from "../plan/decide.ts";
import type { ClaimFact, ClaimFailure, Fact } from "../plan/fact.ts";
import type { CheckStrategy } from "../plan/rounds/check-strategy.ts";
import { oldestClaimMs } from "../plan/state/plan.ts";
import { CopyEvents } from "./copy-events.ts";
import { DifferenceKeeper } from "./difference-keeper.ts";
import type { DriverOptions } from "./driver-options.ts";
import { presentAs } from "./first-outputs.ts";
import { Machines } from "./live-machines.ts";
import type { MachineSession } from "./machine-session.ts";
import { performBuild } from "./perform-build.ts";
import { reserve } from "./reserve.ts";
import { Substitutions } from "./substitutions.ts";
import { takeBack } from "./take-back.ts";

interface RunningClaim {
  readonly command: StartBuild;
  readonly abort: AbortController;
  readonly log: BuildLog;
  /** How it is compared, once the plan has said so. */
  readonly chosen: PromiseWithResolvers<CheckStrategy>;
  outputs: readonly PathInfo[];
  /** Lets other runs have the goal. */
  release: () => void;
}

/** The loop around the plan. Facts may be posted at any time; they are decided on in order. */
export class Driver {
  readonly #options: DriverOptions;
  readonly #machines: Machines;
  readonly #copies: CopyEvents;
  readonly #claims = new Map<ClaimId, RunningClaim>();
  readonly #keeper: DifferenceKeeper;
  /** Outputs being taken back: what is valid at the end must be settled before the end. */
  readonly #takingBack = new Set<Promise<void>>();
  readonly #substitutions: Substitutions;
  readonly #hooks = new Map<HookId, AbortController>();
  readonly #background = new Set<Promise<void>>();
  readonly #queue: Fact[] = [];
  readonly #finished = Promise.withResolvers<RunOutcome>();
  #deciding = false;
  #cancelWake: () => void = () => undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { plan, clock, destination, builds, machines } = options;
    const { outputsOf } = options.goals;
    const publish = options.heard.event;
    const post = (fact: Fact): void => this.post(fact);
    this.#substitutions = new Substitutions({ store: destination.store, outputsOf, publish, post });
    this.#copies = new CopyEvents(clock, publish);
    this.#keeper = new DifferenceKeeper({
      differences: builds.differences,
      enforced: builds.enforceDeterminism,
      buildsHere: () => plan.machines.some(({ spec, slots }) => spec.isLocal && slots > 0),
      destination: destination.store,
      outputsOf,
      publish,
    });
    this.#machines = new Machines({
      clock,
      connect: machines.connect,
      post,
      isPermanent: machines.isPermanent,
      atStakeMs: (machine) => oldestClaimMs(plan, machine, clock.now()),
    });
  }

  /** Settles when the plan says that nothing is left to do. */
  get finished(): Promise<RunOutcome> {
    return this.#finished.promise;
  }

  /** Tells the plan something. */
  post(fact: Fact): void {
    this.#queue.push(fact);
    if (this.#deciding) return;
    this.#deciding = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { clock, plan, heard } = this.#options;
        heard.fact(next);
        const now = { mono: clock.now(), wall: clock.wallTime() };
        const decision = decide(plan, next, now);
        heard.decision(next, now, decision);
        for (const event of decision.events) heard.event(event);
        for (const command of decision.commands) this.#perform(command);
      }
    } catch (error) {
      this.#finished.reject(error);
    } finally {
      this.#deciding = false;
    }
  }

  /** Ends every connection and waits for what is still being written. */
  async close(): Promise<void> {
    this.#cancelWake();
    for (const claim of this.#claims.values()) {
      claim.abort.abort(new Error("the run ended"));
      claim.release();
    }
    this.#substitutions.close();
    for (const abort of this.#hooks.values()) abort.abort(new Error("the run ended"));
    await this.#keeper.settled(true);
    await this.#machines.close();
    await Promise.allSettled(this.#background);
    this.#options.builds.reservations?.close();
  }

  #perform(command: Command): void {
    this.#options.heard.command(command);
    switch (command.type) {
      case "connectMachine":
        this.#machines.connect(command.machine);
        return;
      case "disconnectMachine":
        this.#machines.disconnect(command.machine, command.reason);
        return;
      case "startSubstitution":
        this.#inBackground(this.#substitutions.start(command.goal));
        return;
      case "cancelSubstitution":
        this.#substitutions.cancel(command.goal);
        return;
      case "startBuild":
        this.#inBackground(this.#build(command));
        return;
      case "receiveOutputs":
        this.#inBackground(this.#receive(command.claim));
        return;
      case "cancelClaim":
        this.#claims.get(command.claim)?.abort.abort(new Error(command.reason));
        return;
      case "takeBackOutputs": {
        const work = this.#takeBack(command.goal, command.claim);
        this.#takingBack.add(work);
        this.#inBackground(work);
        return;
      }
      case "buildCompared":
        this.#claims.get(command.claim)?.chosen.resolve(command.strategy);
        return;
      case "explainDifference":
        this.#keeper.explain(command.goal, command.first, command.claim);
        return;
      case "runPostBuildHook":
        this.#inBackground(this.#runHook(command.hook, command.goal));
        return;
      case "cancelHook":
        this.#hooks.get(command.hook)?.abort(new Error("cancelled"));
        return;
      case "wakeAt": {
        this.#cancelWake();
        const delay = Math.max(0, command.at - this.#options.clock.now());
        this.#cancelWake = this.#options.clock.after(delay, () => this.post({ type: "tick" }));
        return;
      }
      case "finishRun":
        this.#cancelWake();
        this.#inBackground(this.#finish(command.outcome));
        return;
    }
  }

  async #build(command: StartBuild): Promise<void> {
    const { clock, destination, builds, heard } = this.#options;
    const { derivations, realisations } = this.#options.goals;
    const drvPath = command.goal as string as StorePath;
    const suffix = command.round > 1 || command.attempt > 1 ? `.${command.round}.${command.attempt}` : "";
    const log = builds.logs.open(`${baseNameOf(drvPath)}${suffix}`);
    const abort = new AbortController();
    const chosen = Promise.withResolvers<CheckStrategy>();
    const running: RunningClaim = { command, abort, log, chosen, outputs: [], release: () => undefined };
    this.#claims.set(command.claim, running);
    this.post({ type: "claimStage", claim: command.claim, stage: "preparing" });
    const session = this.#machines.session(command.machine);
    const derivation = derivations.get(drvPath);
    if (session === null || derivation === undefined) {
      this.#fail(running, session === null ? "the machine is not connected" : `${drvPath} was not read`);
      return;
    }
    let resolved: ReadyDerivation;
    try {
      resolved = realisations.resolve(drvPath, derivation);
    } catch (error) {
      this.#fail(running, messageOf(error));
      return;
    }
    if (await this.#isBuiltElsewhere(running)) return;
    const outcome = await performBuild(
      {
        command,
        session,
        drvPath: resolved.drvPath,
        derivation: resolved.derivation,
        isInputAddressed: [...resolved.derivation.outputs.values()].some((output) => output.type === "inputAddressed"),
        from: destination,
        options: builds.options,
        keeper: this.#keeper,
        log,
        transfers: this.#copies.reporter(command.machine, command.claim),
        clock,
        publish: heard.event,
        choose: (side, signal) => {
          signal.throwIfAborted();
          signal.addEventListener("abort", () => chosen.reject(signal.reason), { once: true });
          this.post({ type: "claimComparable", claim: command.claim, side });
          return chosen.promise;
        },
        built: (outputs) => {
          running.outputs = [...outputs.values()];
          this.#keeper.remember(command, session.store, outputs);
        },
        post: (fact) => {
          if (fact.type === "claimBuilt") {
            realisations.learn(drvPath, new Map(fact.outputs.map((output) => [output.name, output.path as StorePath])));
          }
          // Whether the machine is gone must be known before its claim's failure is judged.
          if (
            fact.type === "claimFailed" &&
            (fact.failure.origin === "connection" || fact.failure.origin === "crash")
          ) {
            this.#inBackground(this.#judgeLoss(fact, fact.failure, session));
            return;
          }
          this.post(fact);
        },
      },
      running.abort.signal,
    );
    if (outcome === "built") return;
    this.#forget(command.claim);
    if (outcome === "failed") await this.#keepLog(command, log);
  }

  /** Waits while another run builds the goal; true when there is nothing left to build. */
  async #isBuiltElsewhere(running: RunningClaim): Promise<boolean> {
    const { command, abort } = running;
    try {
      const { clock, builds, destination, goals, heard } = this.#options;
      const ports = {
        clock,
        reservations: builds.reservations,
        store: destination.store,
        outputsOf: goals.outputsOf,
        publish: heard.event,
      };
      const reserved = await reserve(command, ports, abort.signal);
      running.release = reserved.release;
      if (reserved.found === null) return false;
      running.outputs = reserved.found.infos;
      this.post(reserved.found.fact);
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      this.#forget(command.claim);
      this.post({ type: "claimCancelled", claim: command.claim });
    }
    return true;
  }

  #forget(claim: ClaimId): void {
    this.#claims.get(claim)?.release();
    this.#claims.delete(claim);
  }

  /** A program counts as crashed only where its machine is still there: one that goes down ends what runs on it, too. */
  async #judgeLoss(fact: ClaimFact, failure: ClaimFailure, session: MachineSession): Promise<void> {
    await this.#machines.probe(session.machine);
    const isThere = this.#machines.session(session.machine) === session;
    const origin = failure.origin === "crash" && !isThere ? "connection" : failure.origin;
    this.post(fact.type === "claimFailed" ? { ...fact, failure: { ...failure, origin } } : fact);
  }

  async #receive(claim: ClaimId): Promise<void> {
    const running = this.#claims.get(claim);
    if (running === undefined) return;
    const { destination } = this.#options;
    const { command } = running;
    try {
      const session = this.#machines.session(command.machine);
      if (session === null) throw new Error("the machine is not connected any more");
      if (!session.isDestination) {
        this.post({ type: "claimStage", claim, stage: "receivingOutputs" });
        await this.#keeper.quiet(command.goal);
        const present = await presentAs(destination, running.outputs, running.abort.signal);
        const missing = running.outputs.filter((info) => !present.has(info.path));
        const reporter = this.#copies.reporter(command.machine, claim);
        const checkSignatures = destination.trusted === false;
        await session.receive(missing, destination.store, checkSignatures, reporter, running.abort.signal);
        for (const info of missing) destination.infos.remember(info);
        await this.#keepLog(command, running.log);
      }
      await this.#options.goals.realisations.register(command.goal as string as StorePath, destination.store);
      this.#forget(claim);
      this.post({ type: "outputsReceived", claim });
    } catch (error) {
      this.#forget(claim);
      if (running.abort.signal.aborted) this.post({ type: "claimCancelled", claim });
      else {
        await this.#machines.probe(command.machine);
        this.#fail(running, messageOf(error), "transfer");
      }
    }
  }

  async #runHook(hook: HookId, goal: GoalId): Promise<void> {
    const abort = new AbortController();
    this.#hooks.set(hook, abort);
    const outPaths = this.#options.goals.realisations.outputs(goal as string as StorePath);
    const report = {
      started: (attempt: number) => this.post({ type: "hookStarted", hook, attempt }),
      logged: (lines: readonly string[]) => this.#options.heard.event({ type: "hookLogged", hook, lines }),
    };
    const startedAt = this.#options.clock.now();
    const end = await this.#options.builds.hooks
      .run(hook, goal as string as StorePath, outPaths, report, abort.signal)
      .catch((error) => ({ failure: messageOf(error), durationMs: this.#options.clock.now() - startedAt }));
    this.#hooks.delete(hook);
    this.post({ type: "hookEnded", hook, failure: end.failure, durationMs: end.durationMs });
  }

  /** Enforced determinism failed: its results are still read, and shown to the hook, before they go. */
  async #takeBack(goal: GoalId, claim: ClaimId): Promise<void> {
    this.#forget(claim);
    await this.#keeper.quiet(goal);
    const { destination, goals, heard } = this.#options;
    await takeBack(goal, { destination, goals, publish: heard.event });
  }

  /** What is still being said of differences is said before the end. */
  async #finish(outcome: RunOutcome): Promise<void> {
    await this.#keeper.settled(outcome.interrupted);
    await Promise.allSettled(this.#takingBack);
    this.#finished.resolve(outcome);
  }

  /** Keeps the log of a remote build where `nix log` looks; a store that refuses keeps its own peace. */
  async #keepLog(command: StartBuild, log: BuildLog): Promise<void> {
    const session = this.#machines.session(command.machine);
    if (session?.isDestination !== false || this.#options.destination.trusted === false) return;
    const content = log.content();
    if (content !== null) {
      await this.#options.destination.store
        .addBuildLog(command.goal as string as StorePath, content)
        .catch(() => undefined);
    }
  }

  #fail(running: RunningClaim, message: string, origin: "local" | "transfer" = "local"): void {
    this.#forget(running.command.claim);
    this.post({
      type: "claimFailed",
      claim: running.command.claim,
      durationMs: 0,
      failure: {
        origin,
        status: null,
        message,
        logTail: running.log.tail(),
        logFile: running.log.file(),
        keptDirectory: null,
        means: { type: "notAsked" },
      },
    });
  }

  #inBackground(work: Promise<void>): void {
    const guarded = work
      .catch((error: unknown) => this.#finished.reject(error))
      .finally(() => this.#background.delete(guarded));
    this.#background.add(guarded);
  }
}
