// Drives a plan by hand: facts in, commands and events kept, time moved by the test.
import { expect } from "vitest";
import type { EngineEvent, GoalResult, WaitingReason } from "../../../../src/engine/events/event.ts";
import type { ClaimId, GoalId, HookId, MachineId, RequestId } from "../../../../src/engine/events/ids.ts";
import type { Command, StartBuild } from "../../../../src/engine/scheduler/plan/command.ts";
import { decide } from "../../../../src/engine/scheduler/plan/decide.ts";
import type {
  BuiltOutput,
  ClaimFailure,
  Fact,
  GoalSpec,
  MachineSpec,
  RequestFact,
} from "../../../../src/engine/scheduler/plan/fact.ts";
import type { PlanOptions } from "../../../../src/engine/scheduler/plan/options.ts";
import { createPlan, type Plan } from "../../../../src/engine/scheduler/plan/state/plan.ts";

export function drv(name: string): GoalId {
  return `/nix/store/${"0".repeat(32)}-${name}.drv` as GoalId;
}

export function goal(name: string, inputs: readonly string[] = [], more: Partial<GoalSpec> = {}): GoalSpec {
  return {
    goal: drv(name),
    kind: "derivation",
    name,
    system: "x86_64-linux",
    requiredFeatures: [],
    preferLocalBuild: false,
    outputs: ["out"],
    inputs: inputs.map(drv),
    isTarget: false,
    validity: "missing",
    outputPaths: [{ name: "out", path: `/nix/store/${"1".repeat(32)}-${name}` }],
    addressing: "input",
    check: false,
    rounds: 1,
    inputBytes: 0,
    ...more,
  };
}

export function machine(name: string, more: Partial<MachineSpec> = {}): MachineSpec {
  return {
    machine: name as MachineId,
    uri: name === "local" ? "local" : `ssh-ng://${name}`,
    isLocal: name === "local",
    systems: ["x86_64-linux"],
    slots: 1,
    speedFactor: 1,
    supportedFeatures: [],
    mandatoryFeatures: [],
    buildCores: null,
    cores: null,
    ...more,
  };
}

export function failure(message: string, more: Partial<ClaimFailure> = {}): ClaimFailure {
  return {
    origin: "build",
    status: "PermanentFailure",
    message,
    logTail: [],
    logFile: null,
    keptDirectory: null,
    means: { type: "notAsked" },
    ...more,
  };
}

export const CONNECTION_LOST = failure("connection lost", { origin: "connection", status: null });

type Of<Union, Type> = Extract<Union, { type: Type }>;

export class Scenario {
  readonly plan: Plan;
  now = 0;
  /** Everything decided so far. */
  readonly commands: Command[] = [];
  readonly events: EngineEvent[] = [];
  #requests = 0;

  constructor(options: Partial<PlanOptions> = {}) {
    this.plan = createPlan(options);
  }

  say(fact: Fact): readonly Command[] {
    const decision = decide(this.plan, fact, { mono: this.now, wall: 1_000_000 + this.now });
    this.commands.push(...decision.commands);
    this.events.push(...decision.events);
    return decision.commands;
  }

  /** Adds machines that are connected at once. */
  machines(...specs: MachineSpec[]): this {
    for (const spec of specs) {
      this.say({ type: "machineAdded", spec });
      this.connected(spec.machine);
    }
    return this;
  }

  connected(name: string, trusted: boolean | null = true): void {
    this.say({
      type: "machineConnected",
      machine: name as MachineId,
      nixVersion: "2.34.8",
      protocol: "worker 1.38",
      trusted,
    });
  }

  lost(name: string, reason = "connection refused", permanent = false): void {
    this.say({ type: "machineLost", machine: name as MachineId, reason, permanent });
  }

  /** A machine that was up answers as often as it takes that trying again cannot help. */
  lostForGood(name: string, reason: string): void {
    for (let failure = 1; failure <= 5; failure++) {
      this.lost(name, reason, true);
      if (failure < 5) this.tick(this.now + 400_000);
    }
  }

  /** Adds goals, and that there are no more. */
  goals(...goals: GoalSpec[]): this {
    this.say({ type: "goalsAdded", goals });
    this.say({ type: "goalsComplete" });
    return this;
  }

  at(now: number): this {
    this.now = now;
    return this;
  }

  tick(now: number): void {
    this.now = now;
    this.say({ type: "tick" });
  }

  /** The claims of a goal that were started, in order. */
  starts(name?: string): StartBuild[] {
    return this.of("startBuild").filter((command) => name === undefined || command.goal === drv(name));
  }

  /** The last claim of a goal. */
  claim(name: string): ClaimId {
    const last = this.starts(name).at(-1);
    expect(last, `${name} was started`).toBeDefined();
    return last!.claim;
  }

  built(claim: ClaimId, outputs: readonly BuiltOutput[] = [], differs: readonly string[] = [], executed = true): void {
    this.say({ type: "claimBuilt", claim, durationMs: 1000, executed, outputs, differs, messages: [] });
  }

  received(claim: ClaimId): void {
    this.say({ type: "outputsReceived", claim });
  }

  /** Built and received. */
  done(name: string): void {
    const claim = this.claim(name);
    this.built(claim);
    this.received(claim);
  }

  fails(claim: ClaimId, what: ClaimFailure): void {
    this.say({ type: "claimFailed", claim, durationMs: 1000, failure: what });
  }

  cancelled(claim: ClaimId): void {
    this.say({ type: "claimCancelled", claim });
  }

  /** Asks something and returns the answer. */
  ask(request: DistributiveOmit<RequestFact, "request">): { done: boolean; message: string } {
    const id = `r${++this.#requests}` as RequestId;
    this.say({ ...request, request: id } as Fact);
    const answers = this.happened("requestAnswered").filter((event) => event.request === id);
    expect(answers).toHaveLength(1);
    return { done: answers[0]!.done, message: answers[0]!.message };
  }

  of<Type extends Command["type"]>(type: Type): Of<Command, Type>[] {
    return this.commands.filter((command): command is Of<Command, Type> => command.type === type);
  }

  happened<Type extends EngineEvent["type"]>(type: Type): Of<EngineEvent, Type>[] {
    return this.events.filter((event): event is Of<EngineEvent, Type> => event.type === type);
  }

  result(name: string): GoalResult | null {
    return this.happened("goalFinished").findLast((event) => event.goal === drv(name))?.result ?? null;
  }

  waits(name: string): WaitingReason | null {
    return this.happened("goalWaiting").findLast((event) => event.goal === drv(name))?.reason ?? null;
  }

  get outcome(): Of<Command, "finishRun">["outcome"] | null {
    return this.of("finishRun")[0]?.outcome ?? null;
  }

  /** Where goals run now: goal → machine, by the claims not ended. */
  machineOf(name: string): string | null {
    return this.starts(name).at(-1)?.machine ?? null;
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export function output(hash: string, name = "out", size = 1n): BuiltOutput {
  return { name, path: `/nix/store/${"1".repeat(32)}-${name}`, narHash: hash, narSize: size };
}

export function hook(id: number): HookId {
  return `h${id}` as HookId;
}
