// Whatever the graph, the machines, and the order in which things happen: the promises a plan keeps.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ClaimId, GoalId, HookId, MachineId, RequestId } from "../../../../src/engine/events/ids.ts";
import type { Command, StartBuild } from "../../../../src/engine/scheduler/plan/command.ts";
import { decide } from "../../../../src/engine/scheduler/plan/decide.ts";
import type {
  ClaimFailure,
  Fact,
  GoalSpec,
  MachineSpec,
  RequestFact,
} from "../../../../src/engine/scheduler/plan/fact.ts";
import type { PlanOptions } from "../../../../src/engine/scheduler/plan/options.ts";
import { refusalOf } from "../../../../src/engine/scheduler/plan/queues/match.ts";
import { createPlan } from "../../../../src/engine/scheduler/plan/state/plan.ts";
import { failure, goal, machine, output } from "./scenario.ts";

const SYSTEMS = ["x", "y"];
const FEATURES = ["kvm", "benchmark"];

interface Case {
  readonly goals: readonly GoalSpec[];
  readonly machines: readonly MachineSpec[];
  readonly options: Partial<PlanOptions>;
  /** Decides, by turns, what happens next. */
  readonly choices: readonly number[];
}

const features = fc.subarray(FEATURES);
const machines = fc.array(
  fc.record({
    systems: fc.subarray(SYSTEMS, { minLength: 1 }),
    slots: fc.integer({ min: 0, max: 3 }),
    speedFactor: fc.constantFrom(0, 0.5, 1, 2),
    supportedFeatures: features,
    mandatoryFeatures: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: features }),
    isLocal: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);
const goals = fc.array(
  fc.record({
    inputs: fc.array(fc.nat(), { maxLength: 3 }),
    system: fc.constantFrom(...SYSTEMS, "builtin"),
    requiredFeatures: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: features }),
    isTarget: fc.boolean(),
    preferLocalBuild: fc.boolean(),
    validity: fc.constantFrom("missing", "missing", "missing", "substitutable", "valid"),
    addressing: fc.constantFrom("input", "fixed", "floating"),
    check: fc.boolean(),
    rounds: fc.constantFrom(1, 1, 1, 2, 3),
  }),
  { minLength: 1, maxLength: 14 },
);
const options = fc.record({
  seed: fc.nat(),
  policy: fc.constantFrom("own", "nix"),
  keepGoing: fc.boolean(),
  fallback: fc.boolean(),
  enforceDeterminism: fc.boolean(),
  roundsOn: fc.constantFrom("any", "same", "other"),
  hook: fc.constantFrom({ type: "none" }, { type: "blocking", exceptLocal: false }),
  destinationTrusted: fc.boolean(),
  suspectAfter: fc.integer({ min: 1, max: 3 }),
});

const cases: fc.Arbitrary<Case> = fc
  .record({ machines, goals, options, choices: fc.infiniteStream(fc.nat({ max: 2 ** 30 })), length: fc.constant(4000) })
  .map(({ machines: specs, goals: raw, options: chosen, choices }) => ({
    machines: specs.map((spec, index) => machine(`m${index}`, spec)),
    goals: raw.map(({ inputs, ...rest }, index) =>
      goal(`g${index}`, index === 0 ? [] : [...new Set(inputs.map((input) => `g${input % index}`))], {
        ...rest,
        isTarget: rest.isTarget || index === raw.length - 1,
        check: rest.check && rest.validity === "valid",
        rounds: rest.addressing === "fixed" ? 1 : rest.rounds,
      } as Partial<GoalSpec>),
    ),
    options: chosen as Partial<PlanOptions>,
    choices: [...choices.take(4000)],
  }));

const FAILURES: readonly ClaimFailure[] = [
  failure("exit 1"),
  failure("odd", { status: "MiscFailure" }),
  failure("timed out", { status: "TimedOut" }),
  failure("output differs", { status: "NotDeterministic" }),
  failure("No space left on device", { status: "MiscFailure" }),
  failure("required system or feature not available", { status: "InputRejected" }),
  failure("transfer", { origin: "transfer", status: null }),
];

/** A world in which things go well, badly, or late; it checks the promises as it goes. Returns all facts and decisions. */
function play({ goals: specs, machines: all, options: chosen, choices }: Case) {
  const plan = createPlan(chosen);
  const log: {
    readonly fact: Fact;
    readonly now: number;
    readonly commands: readonly Command[];
    readonly text: string;
  }[] = [];
  const running = new Map<ClaimId, StartBuild>();
  const receiving = new Set<ClaimId>();
  const built = new Map<ClaimId, StartBuild>();
  const cancelled = new Set<ClaimId>();
  const substituting = new Set<GoalId>();
  const hooks = new Set<HookId>();
  const connecting = new Set<MachineId>();
  const up = new Set<MachineId>();
  const lost: ClaimId[] = [];
  const finished = new Map<GoalId, string>();
  const needed = new Set<GoalId>();
  const byId = new Map(specs.map((spec) => [spec.goal, spec]));
  const slots = new Map(all.map((spec) => [spec.machine, spec.slots]));
  let wakeAt = Number.POSITIVE_INFINITY;
  let now = 0;
  let outcome: Extract<Command, { type: "finishRun" }>["outcome"] | null = null;
  let requests = 0;
  let answers = 0;
  let turn = 0;
  const choose = (count: number) => choices[turn++ % choices.length]! % count;
  const pick = <T>(from: Iterable<T>): T => {
    const list = [...from];
    return list[choose(list.length)]!;
  };

  const start = (command: StartBuild): void => {
    const spec = byId.get(command.goal)!;
    const on = all.find((each) => each.machine === command.machine)!;
    expect(up.has(command.machine), "only connected machines get builds").toBe(true);
    expect(
      refusalOf(spec, on, { destinationTrusted: plan.options.destinationTrusted, machineSigns: () => false }),
    ).toBeNull();
    const there = [...running.values()].filter((other) => other.machine === command.machine);
    expect(there.length, "slots are never exceeded").toBeLessThan(slots.get(command.machine)!);
    expect(
      there.some((other) => other.slot === command.slot),
      "a slot holds one build",
    ).toBe(false);
    expect(
      there.some((other) => other.goal === command.goal),
      "a derivation is built once at a time on a machine",
    ).toBe(false);
    expect(command.slot).toBeGreaterThanOrEqual(0);
    const rounds = [...running.values()].filter((other) => other.goal === command.goal);
    expect(
      rounds.some((other) => other.round === command.round),
      "a round is claimed once",
    ).toBe(false);
    expect(rounds.length).toBeLessThan(Math.max(1, spec.rounds));
    for (const input of spec.inputs) expect(["built", "substituted", "alreadyValid"]).toContain(finished.get(input));
    expect(finished.has(command.goal), "what has ended is not built").toBe(false);
    running.set(command.claim, command);
  };

  const say = (fact: Fact): void => {
    const decision = decide(plan, fact, { mono: now, wall: now });
    log.push({
      fact,
      now,
      commands: decision.commands,
      text: JSON.stringify(decision, (_, value) => (typeof value === "bigint" ? String(value) : value)),
    });
    for (const event of decision.events) {
      if (event.type === "goalsAdded") for (const added of event.goals) needed.add(added.goal);
      else if (event.type === "goalFinished") {
        expect(needed.has(event.goal)).toBe(true);
        expect(finished.has(event.goal), "a goal ends once").toBe(false);
        finished.set(event.goal, event.result.type);
      } else if (event.type === "goalReopened") finished.delete(event.goal);
      else if (event.type === "requestAnswered") answers += 1;
    }
    for (const command of decision.commands) {
      expect(outcome, "nothing comes after the end").toBeNull();
      switch (command.type) {
        case "startBuild":
          start(command);
          break;
        case "receiveOutputs":
          expect(built.has(command.claim)).toBe(true);
          receiving.add(command.claim);
          break;
        case "cancelClaim":
          expect(running.has(command.claim) || receiving.has(command.claim)).toBe(true);
          cancelled.add(command.claim);
          break;
        case "startSubstitution":
          substituting.add(command.goal);
          break;
        case "runPostBuildHook":
          hooks.add(command.hook);
          break;
        case "connectMachine":
          expect(up.has(command.machine) || connecting.has(command.machine)).toBe(false);
          connecting.add(command.machine);
          break;
        case "disconnectMachine":
          up.delete(command.machine);
          break;
        case "wakeAt":
          expect(command.at).toBeGreaterThan(now);
          wakeAt = command.at;
          break;
        case "finishRun":
          outcome = command.outcome;
          break;
        default:
      }
    }
  };

  const endClaim = (claim: ClaimId): void => {
    const command = running.get(claim)!;
    const what = cancelled.has(claim) ? choose(2) * 5 : choose(10);
    if (cancelled.has(claim) && what === 0) {
      running.delete(claim);
      say({ type: "claimCancelled", claim });
    } else if (what < 7) {
      running.delete(claim);
      built.set(claim, command);
      const hash = choose(8) === 0 ? "bb" : "aa";
      const differs = command.compare.type !== "none" && choose(8) === 0 ? ["out"] : [];
      say({
        type: "claimBuilt",
        claim,
        durationMs: 10,
        executed: choose(6) > 0,
        outputs: [output(hash)],
        differs,
        messages: [],
      });
    } else {
      running.delete(claim);
      say({ type: "claimFailed", claim, durationMs: 10, failure: FAILURES[choose(FAILURES.length)]! });
    }
  };

  const loseMachine = (id: MachineId): void => {
    up.delete(id);
    connecting.delete(id);
    say({ type: "machineLost", machine: id, reason: "gone", permanent: choose(12) === 0 });
    for (const [claim, command] of running) if (command.machine === id) lost.push(claim);
  };

  const request = (): RequestFact => {
    const id = `r${++requests}` as RequestId;
    const on = pick(all).machine;
    const about = pick(specs).goal;
    switch (choose(9)) {
      case 0:
        return { type: "cancelGoal", request: id, goal: about };
      case 1:
        return { type: "retryGoal", request: id, goal: about };
      case 2:
        return { type: "retryFailed", request: id };
      case 3:
        return { type: "buildNext", request: id, goal: about };
      case 4:
        return { type: "cordonMachine", request: id, machine: on };
      case 5:
        return { type: "drainMachine", request: id, machine: on };
      case 6: {
        const count = choose(4);
        slots.set(on, count);
        return { type: "setSlots", request: id, machine: on, slots: count };
      }
      case 7:
        return { type: "pauseDispatch", request: id };
      default:
        if (choose(3) > 0) return { type: "uncordonMachine", request: id, machine: on };
        return { type: "stop", request: id, how: choose(2) === 0 ? "drain" : "cancel", reason: "asked" };
    }
  };

  for (const spec of all) say({ type: "machineAdded", spec });
  const half = Math.ceil(specs.length / 2);
  say({ type: "goalsAdded", goals: specs.slice(0, half) });
  say({ type: "goalsAdded", goals: specs.slice(half) });
  say({ type: "goalsComplete" });

  let quiet = false;
  for (let step = 0; outcome === null; step++) {
    expect(step, "every run ends").toBeLessThan(3000);
    // After a while only good things happen, and whatever the user held back is let go.
    if (step === 300) {
      quiet = true;
      for (const spec of all) {
        for (const type of ["uncordonMachine"] as const)
          say({ type, request: `r${++requests}` as RequestId, machine: spec.machine });
        if (slots.get(spec.machine) === 0 && spec.slots > 0) {
          slots.set(spec.machine, 1);
          say({ type: "setSlots", request: `r${++requests}` as RequestId, machine: spec.machine, slots: 1 });
        }
      }
      say({ type: "resumeDispatch", request: `r${++requests}` as RequestId });
      continue;
    }
    const gone = lost.pop();
    if (gone !== undefined) {
      if (!running.has(gone)) continue;
      running.delete(gone);
      say({
        type: "claimFailed",
        claim: gone,
        durationMs: 1,
        failure: failure("gone", { origin: "connection", status: null }),
      });
      continue;
    }
    now += choose(3) === 0 ? choose(3000) : 0;
    const able: (() => void)[] = [];
    if (running.size > 0) able.push(() => endClaim(pick(running.keys())));
    if (receiving.size > 0) {
      able.push(() => {
        const claim = pick(receiving);
        receiving.delete(claim);
        if (cancelled.has(claim) && choose(2) === 0) say({ type: "claimCancelled", claim });
        else if (!quiet && choose(8) === 0) {
          say({
            type: "claimFailed",
            claim,
            durationMs: 1,
            failure: failure("lost", { origin: "transfer", status: null }),
          });
        } else say({ type: "outputsReceived", claim });
      });
    }
    if (substituting.size > 0) {
      able.push(() => {
        const id = pick(substituting);
        substituting.delete(id);
        say({
          type: "substitutionEnded",
          goal: id,
          failure: choose(4) === 0 ? { type: choose(2) === 0 ? "gone" : "failed", reason: "404" } : null,
        });
      });
    }
    if (hooks.size > 0) {
      able.push(() => {
        const hook = pick(hooks);
        hooks.delete(hook);
        say({ type: "hookEnded", hook, failure: choose(8) === 0 ? "exit 1" : null, durationMs: 1 });
      });
    }
    if (connecting.size > 0) {
      able.push(() => {
        const id = pick(connecting);
        connecting.delete(id);
        if (!quiet && choose(5) === 0) {
          loseMachine(id);
          return;
        }
        up.add(id);
        say({
          type: "machineConnected",
          machine: id,
          nixVersion: null,
          protocol: "",
          trusted: choose(4) === 0 ? null : true,
        });
      });
    }
    if (!quiet && choose(12) === 0 && up.size > 0) able.push(() => loseMachine(pick(up)));
    if (!quiet && choose(6) === 0) able.push(() => say(request()));
    if (able.length > 0 && !(wakeAt <= now)) {
      pick(able)();
      continue;
    }
    if (!quiet && wakeAt === Number.POSITIVE_INFINITY) {
      // It waits for the user.
      step = 299;
      continue;
    }
    expect(wakeAt, "a plan with goals left waits for something").toBeLessThan(Number.POSITIVE_INFINITY);
    now = Math.max(now, wakeAt);
    wakeAt = Number.POSITIVE_INFINITY;
    say({ type: "tick" });
  }
  expect(running.size + receiving.size + hooks.size + substituting.size, "nothing runs on after the end").toBe(0);
  expect(answers, "every request is answered once").toBe(requests);
  expect(new Set(finished.keys()), "every needed goal ends").toEqual(needed);
  for (const spec of specs) if (spec.isTarget) expect(finished.has(spec.goal)).toBe(true);
  return { log, outcome };
}

const RUNS = Number(process.env.TSBUILD_TOP_PROPERTY_RUNS ?? 300);

describe("every plan", () => {
  it("keeps its promises whatever happens", () => {
    fc.assert(
      fc.property(cases, (each) => {
        play(each);
      }),
      { numRuns: RUNS },
    );
  });

  it("decides the same of the same facts, bit for bit", () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { log } = play(each);
        const plan = createPlan(each.options);
        for (const { fact, now, text } of log) {
          const decision = decide(plan, fact, { mono: now, wall: now });
          expect(JSON.stringify(decision, (_, value) => (typeof value === "bigint" ? String(value) : value))).toBe(
            text,
          );
        }
      }),
      { numRuns: Math.ceil(RUNS / 6) },
    );
  });
});
