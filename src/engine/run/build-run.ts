// One run of builds from beginning to end: opens, evaluates, plans, drives, links. Rules belong to the parts it wires.
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { EngineError } from "../base/errors.ts";
import { unlessAborted } from "../base/unless-aborted.ts";
import { readDrvFrom } from "../evaluate/drv-closure.ts";
import { evaluateInstallables } from "../evaluate/evaluate.ts";
import { createEventChannel, type EventChannel } from "../events/channel.ts";
import { type EngineEvent, EVENTS_VERSION, type RunOutcome } from "../events/event.ts";
import { messageNotice, noticeOf } from "../events/notices.ts";
import type { EngineRequest } from "../events/request.ts";
import { STORE_DIR } from "../formats/store-path.ts";
import { openHistory } from "../memory/history-store.ts";
import { HookLogs } from "../memory/hook-logs.ts";
import { LogKeeper } from "../memory/log-keeper.ts";
import { removeOldLogs } from "../memory/old-logs.ts";
import { printOwner, thisProcess } from "../memory/owner.ts";
import { openReservations } from "../memory/reservations.ts";
import { openDecisionRecord } from "../scheduler/perform/decision-file.ts";
import { Driver } from "../scheduler/perform/driver.ts";
import type { Fact } from "../scheduler/plan/fact.ts";
import { goalsToBuild } from "../scheduler/plan/goals/goal-specs.ts";
import { createPlan } from "../scheduler/plan/state/plan.ts";
import { type OpenedDestination, openDestination } from "../stores/open/open-destination.ts";
import { PathInfos } from "../stores/path-infos.ts";
import type { DerivedPath } from "../stores/store.ts";
import { Transports } from "../transports/open.ts";
import { isPermanentFailure } from "../transports/ssh/ssh-errors.ts";
import { SAMPLER_COMMAND } from "../usage/samples/sampler-command.ts";
import type { BuildRunOptions } from "./build-run-options.ts";
import { openDifferences } from "./differences.ts";
import { type DryRun, dryRunOf } from "./dry-run.ts";
import { linkResults, type TargetResult } from "./link-results.ts";
import type { RunHooks } from "./listeners/background-hooks.ts";
import { Durations } from "./listeners/durations.ts";
import { Listeners } from "./listeners/listeners.ts";
import { RunJournal, takeBackUnverified } from "./listeners/run-journal.ts";
import { Samplers } from "./listeners/samplers.ts";
import { SentRates } from "./listeners/sent-rates.ts";
import { Connector, type RunMachine, runMachines } from "./machine-connector.ts";
import { planOptions } from "./plan-options.ts";
import { planRun, type RunPlan } from "./plan-run.ts";
import { destinationNotices } from "./untrusted.ts";

/** A run that can be listened to and asked things while it goes on. */
export class BuildRun {
  readonly events: EventChannel;
  readonly #options: BuildRunOptions;
  readonly #abort = new AbortController();
  #driver: Driver | null = null;
  #hooks: RunHooks | null = null;
  readonly #logs: LogKeeper;
  readonly #listeners = new Listeners();
  #journal: RunJournal | null = null;
  /** Targets that failed, whose outputs may be valid all the same: a check found a difference. */
  readonly #failed = new Set<string>();
  #results: readonly TargetResult[] = [];
  #stopAsked: Extract<EngineRequest, { type: "stop" }> | null = null;
  /** Nothing is said after the last event. */
  #isOver = false;

  constructor(options: BuildRunOptions) {
    this.#options = options;
    const { journalDir, logLines } = options.config.settings;
    this.#logs = new LogKeeper({
      directory: join(journalDir, "logs", options.runId),
      owner: printOwner(thisProcess()),
      tailLines: logLines,
    });
    this.events = createEventChannel(
      () => options.clock.wallTime(),
      (run) => setImmediate(run),
    );
    this.#listeners.add("reader", { event: (event) => this.events.publish(event) });
    this.#listeners.add("failedTargets", {
      event: (event) => {
        if (event.type === "goalFinished" && event.result.type === "failed") this.#failed.add(event.goal);
        if (event.type === "goalReopened") this.#failed.delete(event.goal);
      },
    });
  }

  /** Tells the reader something that came from beside the engine: what a build file prints. */
  say(message: string): void {
    this.#publish(messageNotice(message));
  }

  /** What became of each target, once the run has ended. */
  get results(): readonly TargetResult[] {
    return this.#results;
  }

  /** Passes a request of a user interface on; it is answered by an event, as long as the run goes on. */
  request(request: EngineRequest): void {
    if (this.#isOver) return;
    if (this.#driver === null || this.#hooks === null) {
      this.#early(request);
      return;
    }
    if (this.#hooks.answer(request)) return;
    const { id, ...rest } = request;
    switch (rest.type) {
      case "stop":
        this.#driver.post({ type: "stop", request: id, how: rest.how, reason: "asked by the user" });
        return;
      default:
        this.#driver.post({ ...rest, request: id });
    }
  }

  /**
   * Runs. The last event is `runFinished`, which is published also when the run fails before anything could be built: then the error is
   * published as a notice first and the exit status is 1.
   */
  async run(): Promise<RunOutcome> {
    const outcome = await this.#guarded(async (scope) => {
      const prepared = await this.#prepare(scope);
      return this.#drive(prepared, scope);
    });
    this.#journal?.end(outcome.exitStatus);
    this.#publish({ type: "runFinished", outcome });
    this.#isOver = true;
    this.events.flush();
    return outcome;
  }

  /** Plans without building. @throws EngineError */
  async dryRun(): Promise<DryRun> {
    const scope = this.#open();
    try {
      const { plan, destination } = await this.#prepare(scope);
      return dryRunOf(plan, scope.machines, planOptions(this.#options, destination));
    } finally {
      await this.#close(scope);
    }
  }

  async #guarded(work: (scope: Scope) => Promise<RunOutcome>): Promise<RunOutcome> {
    const scope = this.#open();
    try {
      return await work(scope);
    } catch (error) {
      if (this.#stopAsked === null) this.#publish(noticeOf(error));
      return { ...NOTHING_DONE, exitStatus: this.#stopAsked === null ? 1 : 130, interrupted: this.#stopAsked !== null };
    } finally {
      await this.#close(scope);
    }
  }

  #open(): Scope {
    const { config, clock, environment, machines: listed, sshSettings, stores, wrapOpener } = this.#options;
    const { settings } = config;
    const transports = new Transports({
      clock,
      environment,
      notice: ({ code, message, hint }) => this.#publish(messageNotice(message, "warning", code, hint)),
    });
    const closing = new AsyncDisposableStack();
    closing.defer(() => transports.close());
    const machines = runMachines(config, listed.machines, availableParallelism());
    this.#publish({
      type: "runStarted",
      eventsVersion: EVENTS_VERSION,
      runId: this.#options.runId,
      program: this.#options.program,
      store: settings.store,
      policy: settings.policy,
      keepGoing: settings.keepGoing,
      rounds: settings.repeat + 1,
    });
    for (const message of config.warnings) this.#publish(messageNotice(message, "warning", "CONFIG_WARNING"));
    for (const { error } of listed.problems) this.#publish(noticeOf(error, "warning"));
    this.#publish({ type: "runStageChanged", stage: "opening", detail: settings.store });
    const destination = openDestination({ config, transports, clock, environment, ...stores }, this.#abort.signal);
    closing.defer(async () => (await destination.catch(() => null))?.store.close());
    const connector = new Connector({
      config,
      machines,
      destination,
      transports,
      sshSettings,
      clock,
      wrap: wrapOpener,
      environment,
    });
    closing.defer(() => connector.close());
    const hookLogs = new HookLogs(this.#logs);
    this.#listeners.add("hookLogs", { event: (event) => hookLogs.hear(event) });
    closing.defer(() => hookLogs.close());
    return { machines, destination, connector, closing };
  }

  async #close(scope: Scope): Promise<void> {
    this.#abort.abort(new Error("the run ended"));
    await scope.closing.disposeAsync();
  }

  async #prepare(scope: Scope): Promise<Prepared> {
    const { config, installables, evaluation, environment, cwd, check, evaluateBuildFile } = this.#options;
    const { signal } = this.#abort;
    // Logging in takes as long as evaluating: both at once.
    if (!this.#options.dryRun) scope.connector.connectAhead(signal);
    const destination = await scope.destination;
    this.#publish({ type: "runStageChanged", stage: "evaluating", detail: "" });
    const targets = await evaluateInstallables({
      installables,
      options: { ...evaluation, store: destination.nixStore },
      context: {
        cwd,
        environment,
        onMessage: (message) => this.#publish(messageNotice(message)),
        signal,
      },
      evaluateBuildFile: evaluateBuildFile(destination.store),
      root: null,
    });
    this.#publish({ type: "runStageChanged", stage: "planning", detail: "" });
    const planning = {
      store: destination.store,
      readDrv: readDrvFrom(join(destination.root ?? "/", STORE_DIR)),
      targets,
      substitute: config.settings.substitute,
      alwaysSubstitute: config.settings.alwaysAllowSubstitutes,
      rounds: config.settings.repeat + 1,
      check,
      signal,
    };
    const plan = await planRun(planning);
    if (this.#options.dryRun) return { destination, targets, plan };
    this.#journal = new RunJournal({
      directory: config.settings.journalDir,
      runId: this.#options.runId,
      store: config.settings.store,
      targets,
      isCheck: check !== "no",
      clock: this.#options.clock,
      publish: this.#listeners.event,
    });
    this.#listeners.add("journal", { event: (event) => this.#journal?.hear(event) });
    const isChanged = await takeBackUnverified(this.#journal, plan, destination, (event) => this.#publish(event));
    return { destination, targets, plan: isChanged ? await planRun(planning) : plan };
  }

  async #drive({ destination, targets, plan }: Prepared, scope: Scope): Promise<RunOutcome> {
    const { config, clock, hooks, runId, environment, diffoscope } = this.#options;
    const { settings } = config;
    const outputs = new Map(plan.goals.map((goal) => [goal.goal, goal.outputPaths]));
    const infos = new PathInfos(destination.store);
    const publish = this.#listeners.event;
    const { machines, connector, closing } = scope;
    const specs = machines.map(({ spec }) => spec);
    const durations = new Durations(openHistory(join(settings.journalDir, "history.sqlite")), clock, plan.goals, specs);
    closing.defer(() => durations.close());
    this.#listeners.add("durations", {
      fact: (fact) => durations.hearFact(fact),
      command: (command) => durations.hearCommand(command),
    });
    // The place that is uploaded to may take long to answer.
    const opening = this.#options.openHookQueue(destination, infos, publish);
    const runHooks = await unlessAborted(opening, this.#abort.signal, (late) => late.close());
    this.#hooks = runHooks;
    closing.defer(() => runHooks.close());
    this.#listeners.add("hooks", { event: (event) => runHooks.hear(event) });
    const resumed = this.#journal?.begin(goalsToBuild(plan.goals)) ?? new Map();
    const decisions = openDecisionRecord(environment.TSBUILD_TOP_DECISIONS, {
      ...planOptions(this.#options, destination),
      resumed,
      durations: (goal, machine) => durations.expected(goal, machine),
    });
    this.#listeners.add("decisions", { decision: decisions.record });
    const differences = await openDifferences({
      config,
      destination,
      machines,
      environment,
      diffoscope,
      runId,
      clock,
      publish,
    });
    // From here on a stop is the plan's.
    this.#abort.signal.throwIfAborted();
    const driver = new Driver({
      plan: createPlan(decisions.options),
      clock,
      goals: {
        derivations: plan.derivations,
        realisations: plan.realisations,
        outputsOf: (goal) => outputs.get(goal) ?? [],
        validBefore: plan.validBefore,
      },
      destination: { store: destination.store, infos, trusted: destination.description.trusted },
      machines: {
        connect: (machine, signal) => connector.connect(machine, signal),
        // What prints into the protocol, or speaks none we know, does so every time.
        isPermanent: (error) =>
          isPermanentFailure(error) || (error instanceof EngineError && error.family === "protocol"),
      },
      builds: {
        options: {
          keepFailed: settings.keepFailed,
          maxSilentTime: settings.maxSilentTime,
          timeout: settings.timeout,
          maxLogSize: settings.maxBuildLogSize,
          cores: settings.cores,
          keepCheck: false,
        },
        logs: this.#logs,
        hooks,
        reservations: openReservations(settings.journalDir, destination.root ?? settings.store, runId),
        differences,
        enforceDeterminism: settings.enforceDeterminism,
      },
      heard: this.#listeners,
    });
    this.#driver = driver;
    closing.defer(() => driver.close());
    const post = (fact: Fact): void => driver.post(fact);
    const samplers = new Samplers({
      clock,
      intervalMs: settings.buildersPollInterval * 1000,
      opener: (machine) => connector.commandOpener(machine, SAMPLER_COMMAND),
      publish,
      post,
    });
    closing.defer(() => samplers.close());
    this.#listeners.add("samplers", { fact: (fact) => samplers.hear(fact) });
    const sent = new SentRates(post);
    this.#listeners.add("sentRates", { event: (event) => sent.hear(event) });
    const needed = plan.goals.some((goal) => goal.validity !== "valid" || goal.check);
    if (needed) for (const notice of destinationNotices(settings.store, destination)) publish(notice);
    void removeOldLogs(join(settings.journalDir, "logs"), clock.wallTime());
    this.#publish({ type: "runStageChanged", stage: "building", detail: "" });
    for (const spec of specs) driver.post({ type: "machineAdded", spec });
    driver.post({ type: "goalsAdded", goals: plan.goals });
    driver.post({ type: "goalsComplete" });
    const outcome = await driver.finished;
    this.#publish({ type: "runStageChanged", stage: "finishing", detail: "" });
    const { outLink, profile } = this.#options;
    const isFailed = (drvPath: string): boolean => this.#failed.has(drvPath);
    const linked = await linkResults({ targets, plan, destination, publish, outLink, profile, isFailed });
    this.#results = linked.results;
    const exitStatus = outcome.exitStatus === 0 && !linked.isDone ? 1 : outcome.exitStatus;
    return runHooks.drain({ ...outcome, exitStatus, outputs: linked.outputs });
  }

  /** Before there is anything to steer, only stopping makes sense. */
  #early(request: EngineRequest): void {
    const done = request.type === "stop";
    if (done) {
      if (this.#stopAsked === null)
        this.#publish({ type: "runStopping", how: request.how, reason: "asked by the user" });
      this.#stopAsked ??= request;
      this.#abort.abort(new Error("stopped by the user"));
    }
    const message = done ? "stopping" : "nothing runs yet";
    this.#publish({ type: "requestAnswered", request: request.id, done, message });
  }

  #publish(event: EngineEvent): void {
    this.#listeners.event(event);
  }
}

interface Scope {
  readonly machines: readonly RunMachine[];
  readonly destination: Promise<OpenedDestination>;
  readonly connector: Connector;
  /** Closes what was opened, the last first: what still runs must find what it uses. */
  readonly closing: AsyncDisposableStack;
}

interface Prepared {
  readonly destination: OpenedDestination;
  readonly targets: readonly DerivedPath[];
  readonly plan: RunPlan;
}

const NOTHING_DONE: RunOutcome = {
  exitStatus: 1,
  built: 0,
  substituted: 0,
  alreadyValid: 0,
  failed: 0,
  cancelled: 0,
  notBuilt: 0,
  outputs: [],
  interrupted: false,
};
