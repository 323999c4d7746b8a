// What a watched log adds up to: goals, builds in slots, machines, fetches and copies, told as events in the order a run of our own would tell them.

import type { EngineEvent, ExitClass, GoalDescription, GoalResult, MachineDescription } from "../../events/event.ts";
import {
  type ClaimId,
  type CopyId,
  type GoalId,
  type HookId,
  LOCAL_MACHINE,
  type MachineId,
} from "../../events/ids.ts";
import type { Knowledge } from "./knowledge.ts";
import { isHere, nameOf, nameOfMachine } from "./names.ts";

interface Build {
  readonly claim: ClaimId;
  readonly machine: MachineId;
  readonly slot: number;
  readonly startedAt: number;
  readonly round: number;
  readonly rounds: number;
}

type GoalState =
  | { readonly type: "planned" }
  | { readonly type: "building"; readonly build: Build }
  | { readonly type: "fetching" }
  /** Its build ended badly, and why may still be told. */
  | { readonly type: "unexplained"; readonly build: Build; readonly durationMs: number }
  | { readonly type: "finished"; readonly result: GoalResult["type"] };

interface Goal {
  readonly id: GoalId;
  readonly kind: GoalDescription["kind"];
  readonly name: string;
  state: GoalState;
  attempts: number;
  /** Why it failed, as far as it has been said. */
  reason: { readonly text: string; readonly exitClass: ExitClass } | null;
  /** The last lines of its log. */
  tail: string[];
}

const TAIL = 25;

/** Tells events; `at` is monotonic or wall time in ms, of which only differences count. */
export class WatchedGoals {
  readonly #knowledge: Knowledge;
  readonly #publish: (event: EngineEvent) => void;
  readonly #goals = new Map<string, Goal>();
  readonly #machines = new Map<MachineId, { readonly lanes: (ClaimId | null)[]; slots: number }>();
  #isBuilding = false;
  #claims = 0;
  #copies = 0;
  #hooks = 0;

  constructor(knowledge: Knowledge, publish: (event: EngineEvent) => void) {
    this.#knowledge = knowledge;
    this.#publish = publish;
  }

  isFetching(path: string): boolean {
    return this.#goals.get(path)?.state.type === "fetching";
  }

  isOpen(drvPath: string): boolean {
    return this.#goals.get(drvPath)?.state.type === "building";
  }

  /** Learns of paths that will be built or fetched, what is needed first. Known ones stay as they are. */
  plan(paths: readonly string[], kind: GoalDescription["kind"]): void {
    const fresh = paths.filter((path) => !this.#goals.has(path));
    if (fresh.length === 0) return;
    this.#begin();
    const among = new Set(fresh);
    const needed = new Set<string>();
    const described = fresh.map((path) => {
      const known = kind === "derivation" ? this.#knowledge.derivation(path) : null;
      const inputs = (known?.inputs ?? []).filter((input) => among.has(input) || this.#goals.has(input));
      for (const input of inputs) needed.add(input);
      return { path, known, inputs };
    });
    const goals = described.map(({ path, known, inputs }): GoalDescription => {
      const name = nameOf(path);
      this.#goals.set(path, {
        id: path as GoalId,
        kind,
        name,
        state: { type: "planned" },
        attempts: 0,
        reason: null,
        tail: [],
      });
      return {
        goal: path as GoalId,
        name,
        kind,
        system: known?.system ?? "",
        requiredFeatures: known?.requiredFeatures ?? [],
        outputs: known?.outputs ?? [],
        inputs: inputs as GoalId[],
        isTarget: kind === "derivation" && !needed.has(path),
        expectedMs: kind === "derivation" ? this.#knowledge.expectedMs(name, LOCAL_MACHINE) : null,
      };
    });
    this.#publish({ type: "goalsAdded", goals });
  }

  buildStarted(drvPath: string, uri: string, round: number, rounds: number, isCheck: boolean, at: number): void {
    const goal = this.#goal(drvPath, "derivation");
    if (goal.state.type === "building") return;
    this.#settle(goal);
    if (goal.state.type === "finished") this.#publish({ type: "goalReopened", goal: goal.id });
    const machine = this.#machine(uri);
    const { lanes } = this.#machines.get(machine)!;
    const free = lanes.indexOf(null);
    const slot = free < 0 ? lanes.length : free;
    const claim = `w${++this.#claims}` as ClaimId;
    lanes[slot] = claim;
    this.#widen(machine, slot + 1);
    goal.attempts += 1;
    goal.tail = [];
    goal.reason = null;
    const build: Build = { claim, machine, slot, startedAt: at, round, rounds };
    goal.state = { type: "building", build };
    this.#publish({
      type: "buildAssigned",
      claim,
      goal: goal.id,
      machine,
      slot,
      attempt: goal.attempts,
      round,
      rounds,
      isCheck,
      expectedMs: this.#knowledge.expectedMs(goal.name, machine),
      explanation: "",
    });
    this.#publish({ type: "buildStageChanged", claim, stage: "building" });
  }

  logged(drvPath: string, lines: readonly string[]): void {
    const goal = this.#goals.get(drvPath);
    if (goal?.state.type !== "building" || lines.length === 0) return;
    goal.tail = [...goal.tail, ...lines].slice(-TAIL);
    this.#publish({ type: "buildLogged", claim: goal.state.build.claim, lines });
  }

  phase(drvPath: string, phase: string): void {
    const goal = this.#goals.get(drvPath);
    if (goal?.state.type === "building")
      this.#publish({ type: "buildPhaseChanged", claim: goal.state.build.claim, phase });
  }

  /** A build ended. Why it failed, when it did, may have been said or may come later. */
  buildStopped(drvPath: string, hasFailed: boolean, at: number): void {
    const goal = this.#goals.get(drvPath);
    if (goal?.state.type !== "building") return;
    const { build } = goal.state;
    const durationMs = Math.max(0, at - build.startedAt);
    this.#free(build);
    if (hasFailed || goal.reason !== null) {
      const message = goal.reason?.text ?? "the build failed";
      const result = { type: "failed", kind: "final", message } as const;
      this.#publish({ type: "buildEnded", claim: build.claim, durationMs, result });
      goal.state = { type: "unexplained", build, durationMs };
      if (goal.reason !== null) this.#settle(goal);
      return;
    }
    this.#publish({ type: "buildEnded", claim: build.claim, durationMs, result: { type: "built" } });
    const { machine, rounds } = build;
    this.#finish(goal, { type: "built", outputs: [], machine, durationMs, rounds, nonDeterministic: false });
  }

  /** Nix says why something failed. False when it is about nothing that was built here. */
  failed(drvPath: string, text: string, exitClass: ExitClass): boolean {
    const goal = this.#goals.get(drvPath);
    if (goal === undefined || goal.state.type === "finished") return goal !== undefined;
    // The first reason is the nearest to the truth: what comes after says it again from further away.
    goal.reason ??= { text, exitClass };
    if (goal.state.type === "unexplained") this.#settle(goal);
    return true;
  }

  inputsFailed(drvPath: string, text: string): boolean {
    const goal = this.#goals.get(drvPath);
    if (goal === undefined) return false;
    if (goal.state.type === "planned") this.#finish(goal, { type: "notBuilt", because: null, reason: text });
    return true;
  }

  fetchStarted(path: string, from: string): void {
    const goal = this.#goal(path, "path");
    if (goal.state.type !== "planned" && goal.state.type !== "finished") return;
    if (goal.state.type === "finished") this.#publish({ type: "goalReopened", goal: goal.id });
    goal.state = { type: "fetching" };
    this.#publish({ type: "substitutionStarted", goal: goal.id, paths: [path], from });
  }

  fetched(path: string, doneBytes: bigint, expectedBytes: bigint): void {
    const goal = this.#goals.get(path);
    if (goal?.state.type !== "fetching") return;
    const bytes = { doneBytes: `${doneBytes}`, expectedBytes: `${expectedBytes}` };
    this.#publish({ type: "substitutionProgressed", goal: goal.id, ...bytes });
  }

  fetchStopped(path: string): void {
    const goal = this.#goals.get(path);
    if (goal?.state.type === "fetching") this.#finish(goal, { type: "substituted", outputs: [{ name: "out", path }] });
  }

  /** A path begins to move between this machine and another one; null when both are the same, or nobody knows which other one. */
  copyStarted(from: string, to: string): CopyId | null {
    const direction = isHere(from) ? "upload" : "download";
    if (isHere(from) === isHere(to)) return null;
    const uri = this.#whole(direction === "upload" ? to : from);
    if (uri === null) return null;
    const copy = `y${++this.#copies}` as CopyId;
    const machine = this.#machine(uri);
    this.#publish({ type: "copyStarted", copy, direction, machine, claim: null, paths: 1, expectedBytes: "0" });
    return copy;
  }

  copied(copy: CopyId, doneBytes: bigint): void {
    this.#publish({ type: "copyProgressed", copy, doneBytes: `${doneBytes}` });
  }

  copyStopped(copy: CopyId, doneBytes: bigint, durationMs: number): void {
    this.#publish({ type: "copyFinished", copy, doneBytes: `${doneBytes}`, durationMs, failure: null });
  }

  hookStarted(drvPath: string): HookId {
    const goal = this.#goal(drvPath, "derivation");
    const hook = `h${++this.#hooks}` as HookId;
    this.#publish({ type: "hookQueued", hook, kind: "postBuild", goal: goal.id, paths: [] });
    this.#publish({ type: "hookStarted", hook, attempt: 1 });
    return hook;
  }

  hookLogged(hook: HookId, lines: readonly string[]): void {
    this.#publish({ type: "hookLogged", hook, lines });
  }

  hookStopped(hook: HookId, durationMs: number): void {
    this.#publish({ type: "hookFinished", hook, result: { type: "succeeded", durationMs } });
  }

  waiting(drvPath: string): void {
    const goal = this.#goal(drvPath, "derivation");
    if (goal.state.type === "planned")
      this.#publish({ type: "goalWaiting", goal: goal.id, reason: { type: "slots", machines: [] } });
  }

  /** The log has ended: what is still open ends with it. `hasSucceeded` is null when nobody knows. */
  end(hasSucceeded: boolean | null, at: number): Readonly<Record<GoalResult["type"], number>> {
    const counts = { built: 0, substituted: 0, alreadyValid: 0, failed: 0, cancelled: 0, notBuilt: 0 };
    for (const goal of this.#goals.values()) {
      switch (goal.state.type) {
        case "building": {
          const { build } = goal.state;
          const durationMs = Math.max(0, at - build.startedAt);
          this.#free(build);
          this.#publish({ type: "buildEnded", claim: build.claim, durationMs, result: { type: "cancelled" } });
          this.#finish(goal, { type: "cancelled", reason: "the log ended while it was built" });
          break;
        }
        case "fetching":
          this.#finish(goal, { type: "cancelled", reason: "the log ended while it was fetched" });
          break;
        case "unexplained":
          this.#settle(goal);
          break;
        case "planned":
          // Another process may have made it meanwhile.
          if (hasSucceeded === true) this.#finish(goal, { type: "alreadyValid", outputs: [] });
          else this.#finish(goal, { type: "notBuilt", because: null, reason: "nothing more was heard of it" });
          break;
        case "finished":
          break;
      }
      if (goal.state.type === "finished") counts[goal.state.result] += 1;
    }
    if (this.#isBuilding) this.#publish({ type: "runStageChanged", stage: "finishing", detail: "" });
    return counts;
  }

  #begin(): void {
    if (this.#isBuilding) return;
    this.#isBuilding = true;
    this.#publish({ type: "runStageChanged", stage: "planning", detail: "" });
    this.#publish({ type: "runStageChanged", stage: "building", detail: "" });
    this.#machine("");
  }

  #goal(path: string, kind: GoalDescription["kind"]): Goal {
    if (!this.#goals.has(path)) this.plan([path], kind);
    return this.#goals.get(path)!;
  }

  #machine(uri: string): MachineId {
    this.#begin();
    const id = isHere(uri) ? LOCAL_MACHINE : (nameOfMachine(uri) as MachineId);
    if (this.#machines.has(id)) return id;
    this.#machines.set(id, { lanes: [], slots: 0 });
    const machine: MachineDescription = {
      machine: id,
      uri: isHere(uri) ? "local" : uri,
      systems: [],
      slots: 0,
      speedFactor: 1,
      supportedFeatures: [],
      mandatoryFeatures: [],
      buildCores: null,
      cores: null,
    };
    this.#publish({ type: "machineAdded", machine });
    this.#publish({ type: "machineStateChanged", machine: id, state: { type: "up" } });
    return id;
  }

  /** Nix 2.26 leaves the host out of what it says of copies: it is known where there is only one. */
  #whole(uri: string): string | null {
    if (nameOfMachine(uri) !== "") return uri;
    const [only, ...others] = [...this.#machines.keys()].filter((machine) => machine !== LOCAL_MACHINE);
    return only === undefined || others.length > 0 ? null : `ssh-ng://${only}`;
  }

  /** How many slots a machine has is not in the log: as many as were ever in use. */
  #widen(machine: MachineId, slots: number): void {
    const entry = this.#machines.get(machine)!;
    if (slots <= entry.slots) return;
    entry.slots = slots;
    this.#publish({ type: "machineSlotsChanged", machine, slots });
  }

  #free({ machine, slot }: Build): void {
    this.#machines.get(machine)!.lanes[slot] = null;
  }

  /** Ends a goal whose build failed, with what is known of the reason. */
  #settle(goal: Goal): void {
    if (goal.state.type !== "unexplained") return;
    const { machine } = goal.state.build;
    this.#finish(goal, {
      type: "failed",
      failure: {
        kind: "final",
        status: STATUS[goal.reason?.exitClass ?? "build"],
        exitClass: goal.reason?.exitClass ?? "build",
        message: goal.reason?.text ?? "the build failed",
        logTail: goal.tail,
        machine,
        logFile: null,
        keptDirectory: null,
        attempts: [],
      },
    });
  }

  #finish(goal: Goal, result: GoalResult): void {
    goal.state = { type: "finished", result: result.type };
    goal.tail = [];
    this.#publish({ type: "goalFinished", goal: goal.id, result });
  }
}

const STATUS = {
  build: "PermanentFailure",
  timeout: "TimedOut",
  hashMismatch: "OutputRejected",
  notDeterministic: "NotDeterministic",
  other: "MiscFailure",
} as const;
